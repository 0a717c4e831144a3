//! Command lines and what is read from them.

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};

use super::{Cli, Command};

#[test]
fn the_command_tree_is_sound() {
    Cli::command().debug_assert();
}

#[track_caller]
fn read(line: &str) -> Result<Command, clap::Error> {
    Cli::try_parse_from(line.split_whitespace()).map(|cli| cli.command)
}

/// The line is refused with status 2, and the message holds these words.
#[track_caller]
fn check_refused(line: &str, kind: ErrorKind, words: &str) {
    let error = read(line).expect_err("a wrong line");
    assert_eq!(error.kind(), kind, "{error}");
    assert_eq!(error.exit_code(), 2, "{error}");
    assert!(error.to_string().contains(words), "`{words}` is missing in: {error}");
}

#[test]
fn right_lines() {
    for line in [
        "holm up",
        "holm up --origin http://127.0.0.1:1 --http 127.0.0.1:0 --https 127.0.0.1:0 --admin 127.0.0.1:0 --json",
        "holm up --origin http://a http://b --site . --site x/holm.toml --http :80 --https localhost:443",
        "holm up --data-dir d --memory 1GiB --workers 2 --region fra --grace 5s --cert c.pem --key k.pem",
        "holm up --disk 10GiB --disk /mnt/a=100GiB /dev/sdb=1TB",
        "holm serve a.wasm --addr 127.0.0.1:0 --env A=1 --env B=x=y",
        "holm build",
        "holm build site --locked --json",
        "holm publish",
        "holm publish site --no-build --no-activate --admin http://127.0.0.1:1 --token-file t --json",
        "holm releases --site shop",
        "holm rollback",
        "holm rollback 3 --site shop --json",
        "holm purge --url https://a/b https://a/c --tag x --soft --no-wait",
        "holm purge --prefix /a --site shop",
        "holm purge --all",
        "holm stats --window 1h --site shop --watch",
        "holm nodes --json",
        "holm check site/holm.toml --json",
        "holm check --key https://shop.example/a?b --header X-Plan:gold --header Cookie:a=b --method HEAD",
        "holm completions bash",
    ] {
        if let Err(error) = read(line) {
            panic!("{line}: {error}");
        }
    }
}

#[test]
fn wrong_lines() {
    check_refused("holm wibble", ErrorKind::InvalidSubcommand, "wibble");
    check_refused("holm pugre --all", ErrorKind::InvalidSubcommand, "purge");
    check_refused("holm up --origin 127.0.0.1:80", ErrorKind::ValueValidation, "is not a URL");
    check_refused("holm up --http 80", ErrorKind::ValueValidation, "127.0.0.1:8080");
    check_refused("holm up --memory lots", ErrorKind::ValueValidation, "64MiB");
    check_refused("holm up --workers 0", ErrorKind::ValueValidation, "--workers");
    check_refused("holm up --cert c.pem", ErrorKind::MissingRequiredArgument, "--key");
    check_refused("holm up --disk lots", ErrorKind::ValueValidation, "write it like 10GiB, or /mnt/a=100GiB");
    check_refused("holm up --disk /mnt/a", ErrorKind::ValueValidation, "`/mnt/a` is not a size");
    check_refused("holm up --disk =1GiB", ErrorKind::ValueValidation, "no folder before the `=`");
    check_refused("holm up --disk /mnt/a=1MiB", ErrorKind::ValueValidation, "128MiB is the least");
    check_refused("holm serve a.wasm --disk 1GiB", ErrorKind::UnknownArgument, "--disk");
    check_refused("holm up --nats nats://x", ErrorKind::ValueValidation, "not available in this version");
    check_refused("holm publish --canary 5", ErrorKind::ValueValidation, "not available in this version");
    check_refused("holm serve", ErrorKind::MissingRequiredArgument, "FILE.wasm");
    check_refused("holm serve a.wasm --env A", ErrorKind::ValueValidation, "MODE=live");
    check_refused("holm serve a.wasm --reuse 2", ErrorKind::ValueValidation, "not available in this version");
    check_refused("holm purge --soft", ErrorKind::MissingRequiredArgument, "--url");
    check_refused("holm purge --all --tag x", ErrorKind::ArgumentConflict, "--all");
    check_refused("holm purge --all --site Shop!", ErrorKind::ValueValidation, "Shop!");
    check_refused("holm rollback 0", ErrorKind::ValueValidation, "holm releases");
    check_refused("holm check --key /a", ErrorKind::ValueValidation, "https://shop.example/");
    check_refused("holm check --key ftp://a/b", ErrorKind::ValueValidation, "https://shop.example/");
    check_refused("holm check --key http://a --header x", ErrorKind::ValueValidation, "Cookie: currency");
    check_refused("holm check --key http://a --method G,T", ErrorKind::ValueValidation, "--method");
    check_refused("holm check --header a:b", ErrorKind::MissingRequiredArgument, "--key");
    check_refused("holm stats --window 2h", ErrorKind::ValueValidation, "10s to 1h");
}

#[test]
fn values_reach_their_fields() {
    let Ok(Command::Up(up)) =
        read("holm up --origin http://a:1 --origin h2c://b --http :0 --memory 64MiB --grace 2m --disk 1GiB")
    else {
        panic!("a right line");
    };
    assert_eq!(up.origin.len(), 2);
    assert_eq!(up.http.to_string(), "0.0.0.0:0");
    assert_eq!(up.memory.get(), 64 << 20);
    assert_eq!((up.disk.len(), up.disk[0].size.get()), (1, 1 << 30));
    assert_eq!(up.grace.0.as_secs(), 120);
    assert_eq!(up.region.as_str(), "local");
}
