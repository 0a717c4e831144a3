//! What a route's key rule makes of requests: which share a response, under which name it is fetched, what purges it.

use holm_cache_store::Standing;
use holm_model::manifest::{HostPattern, QueryRule};

use super::*;

fn shop(rule: KeyRule) -> Arc<Site> {
    let mut manifest = Manifest::for_origins(vec!["http://127.0.0.1:9".parse().expect("a URL")]);
    let hosts = ["*.shop.example", "shop.example", "shop.test"];
    manifest.hosts = hosts.iter().map(|host| host.parse::<HostPattern>().expect("a host")).collect();
    manifest.routes[0].cache.key = rule;
    Arc::new(site_of(manifest))
}

fn with_target<T>(site: &Arc<Site>, authority: &str, then: impl FnOnce(Target<'_>) -> T) -> T {
    let route = site.content_route("/").expect("a route");
    let authority = Authority::parse(authority).expect("a host");
    let content = route.content.as_ref().expect("content");
    let nowhere = Interims::nowhere();
    let listener = Listener::new(&nowhere);
    let client = ([127, 0, 0, 1].into(), &listener);
    then(Target::of_client(site, (route, content), Scheme::Http, &authority, client))
}

#[test]
fn what_hosts_share_is_fetched_in_the_name_of_one() {
    let check = |share_hosts: bool, asked: &str, fetched: &str| {
        let site = shop(KeyRule { share_hosts, ..KeyRule::default() });
        let found = with_target(&site, asked, |target| target.for_storing().authority.as_str().to_owned());
        assert_eq!(found, fetched, "{asked}");
    };
    check(true, "evil.shop.example:8080", "shop.example");
    check(true, "shop.test", "shop.example");
    check(false, "evil.shop.example:8080", "evil.shop.example:8080");
    let site = shop(KeyRule { share_hosts: true, ..KeyRule::default() });
    let key = |host: &str| with_target(&site, host, |target| target.key(&get("/x", &[])));
    assert_eq!(key("evil.shop.example:8080"), key("shop.example"));
}

#[test]
fn purges_find_what_a_rule_leaves_out_of_the_key() {
    let check = |rule: &KeyRule, stored: &str, purged: &str, hit: bool| {
        let site = shop(rule.clone());
        let (host, target) = stored.split_at(stored.find('/').expect("a path"));
        let scope = with_target(&site, host, |at| at.scope(&get(target, &[("x-plan", "gold")])));
        let marks = Marks::new();
        let selector = Selector::parse_url(&format!("http://{purged}")).expect("a URL");
        let (seq, site, mode) = (Seq::new(1), site.name().clone(), PurgeMode::Hard);
        marks.apply(&PurgeEntry { seq, site, selector, mode, time: now() });
        assert_eq!(
            marks.standing(&scope, Seq::ZERO, Marks::new().local()) == Standing::Hard,
            hit,
            "{rule:?}: {stored}, {purged}"
        );
    };
    let default = KeyRule::default();
    check(&default, "shop.example/x?a=1", "shop.example/x?a=1", true);
    check(&default, "shop.example/x?a=1", "shop.example/x?a=2", false);
    check(&default, "shop.example:81/x", "shop.example/x", true);
    check(&default, "shop.example/x", "shop.test/x", false);
    let shared = KeyRule { share_hosts: true, ..KeyRule::default() };
    check(&shared, "shop.example/x", "shop.test/x", true);
    check(&shared, "shop.example/x?a=1", "a.shop.example/x", true);
    check(&shared, "shop.example/x?a=1", "a.shop.example/x?a=2", false);
    let sorted = KeyRule { sort: true, ..KeyRule::default() };
    check(&sorted, "shop.example/x?b=2&a=1", "shop.example/x?a=1&b=2", true);
    let ignoring = KeyRule { query: QueryRule::Except(vec!["utm_*".into()]), ..shared };
    check(&ignoring, "shop.example/x?v=1&utm_x=1", "shop.test/x?v=1", true);
    let plans = KeyRule { headers: vec!["x-plan".into()], ..KeyRule::default() };
    check(&plans, "shop.example/x", "shop.example/x", true);
}
