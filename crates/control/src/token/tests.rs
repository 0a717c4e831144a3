//! Tokens: what is accepted and what is refused.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::*;

fn keys(dir: &tempfile::TempDir) -> TokenKeys {
    TokenKeys::open(&dir.path().join("token.key")).unwrap()
}

fn claims(exp_from_now: i64) -> Claims {
    let now = Timestamp::from_system_time(SystemTime::now()).as_secs();
    let exp = now.checked_add_signed(exp_from_now).unwrap();
    Claims { sub: "ci".to_owned(), iat: now, exp, scopes: vec![Scope::Purge], sites: Sites::All(Star::Star) }
}

fn part(json: &str) -> String {
    URL_SAFE_NO_PAD.encode(json)
}

#[test]
fn only_our_own_tokens_are_believed() {
    let (dir, other_dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (keys, other) = (keys(&dir), keys(&other_dir));
    let good = keys.sign(&claims(60));
    let (head, rest) = good.split_once('.').unwrap();
    let (body, signature) = rest.split_once('.').unwrap();
    let public = keys.checking.try_get_as_bytes().unwrap().to_vec();
    let symmetric =
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims(60), &EncodingKey::from_secret(&public));
    let check = |token: &str, expected: Result<(), TokenError>| {
        assert_eq!(keys.check(token).map(|_| ()), expected, "{token}");
    };
    check(&good, Ok(()));
    check(&keys.sign(&claims(-20)), Ok(()));
    check(&keys.sign(&claims(-60)), Err(TokenError::Expired));
    check(&other.sign(&claims(60)), Err(TokenError::Signature));
    check(&symmetric.unwrap(), Err(TokenError::Signature));
    check(&format!("{}.{body}.", part(r#"{"alg":"none","typ":"JWT"}"#)), Err(TokenError::Malformed));
    check(&format!("{}.{body}.{signature}", part(r#"{"alg":"HS256"}"#)), Err(TokenError::Signature));
    let widened =
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(&Claims { scopes: vec![Scope::Admin], ..claims(60) }).unwrap());
    check(&format!("{head}.{widened}.{signature}"), Err(TokenError::Signature));
    check(&format!("{head}.{body}.{}", part("x")), Err(TokenError::Signature));
    check(&format!("{head}.{body}"), Err(TokenError::Malformed));
    check("", Err(TokenError::Malformed));
    check(&"a".repeat(100_000), Err(TokenError::Malformed));
}

#[test]
fn claims_say_what_is_allowed() {
    let read = |json: &str| serde_json::from_str::<Claims>(json).unwrap();
    let one = read(r#"{"sub":"a","iat":0,"exp":1,"scopes":["publish","read"],"sites":["shop"]}"#);
    assert!(one.allows(Scope::Publish) && one.allows(Scope::Read));
    assert!(!one.allows(Scope::Purge) && !one.allows(Scope::Admin) && !one.covers_all());
    assert!(one.covers(&"shop".parse().unwrap()) && !one.covers(&"other".parse().unwrap()));
    let all = read(r#"{"sub":"a","iat":0,"exp":1,"scopes":["admin"],"sites":"*"}"#);
    assert!(all.allows(Scope::Kv) && all.covers(&"other".parse().unwrap()) && all.covers_all());
    assert_eq!(serde_json::to_value(&all).unwrap()["sites"], "*");
    for wrong in [
        r#"{"sub":"a","iat":0,"exp":1,"scopes":["root"],"sites":"*"}"#,
        r#"{"sub":"a","iat":0,"exp":1,"scopes":[],"sites":"shop"}"#,
        r#"{"sub":"a","iat":0,"scopes":[],"sites":"*"}"#,
    ] {
        assert!(serde_json::from_str::<Claims>(wrong).is_err(), "{wrong}");
    }
    assert_eq!("purge".parse(), Ok(Scope::Purge));
    assert!("root".parse::<Scope>().is_err());
}

#[test]
fn the_admin_token_is_kept_while_it_is_good() {
    let dir = tempfile::tempdir().unwrap();
    let keys = keys(&dir);
    let file = dir.path().join("token");
    let keep = || {
        keys.keep_admin_token(&file).unwrap();
        fs::read_to_string(&file).unwrap()
    };
    let first = keep();
    assert!(keys.check(first.trim()).unwrap().allows(Scope::Admin));
    assert_eq!(keep(), first);
    let soon = keys.make("admin", vec![Scope::Admin], Sites::All(Star::Star), Duration::from_secs(60));
    for replaced in [soon, "junk".to_owned(), keys.sign(&claims(1_000_000_000))] {
        fs::write(&file, &replaced).unwrap();
        let kept = keep();
        assert_ne!(kept, replaced);
        assert!(keys.check(kept.trim()).unwrap().allows(Scope::Admin));
    }
}
