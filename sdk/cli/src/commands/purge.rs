//! `holm purge`: content leaves every cache, and the command ends when it has.

use holm_control::wire::{PurgeRequest, Purged, Wait};
use holm_model::ids::SiteName;
use holm_model::limits::MAX_PURGE_SELECTORS;
use holm_model::purge::{InvalidSelector, Selector};

use super::spread::{all_have, on_nodes, print_times};
use crate::args::PurgeArgs;
use crate::output::{self, count, line};
use crate::{Failure, cluster};

pub(super) async fn run(args: PurgeArgs) -> Result<(), Failure> {
    let request = request(&args)?;
    let client = cluster::connect(&args.cluster)?;
    let site = cluster::site(&client, &args.site).await?;
    let purged = client.purge(&site, &request).await?;
    if args.output.json {
        output::json(&purged)?;
    } else {
        line(&sentence(&site, &request, &purged))?;
        print_times(&purged.nodes)?;
    }
    all_have(&format!("applied the purge (entry {} of the log)", purged.seq), &purged.lagging)
}

/// What the server is asked for. Mistakes are found before anything is sent.
fn request(args: &PurgeArgs) -> Result<PurgeRequest, Failure> {
    let selectors = args.url.len() + args.tag.len() + args.prefix.len();
    if selectors > MAX_PURGE_SELECTORS {
        let message = format!("{selectors} URLs, tags and prefixes; the most in one purge is {MAX_PURGE_SELECTORS}");
        return Err(Failure::usage(message).help("split it, or purge a tag, a prefix or --all"));
    }
    check(&args.url, Selector::parse_url)?;
    check(&args.tag, Selector::parse_tag)?;
    check(&args.prefix, Selector::parse_prefix)?;
    Ok(PurgeRequest {
        urls: args.url.clone(),
        tags: args.tag.clone(),
        prefixes: args.prefix.clone(),
        all: args.all,
        soft: args.soft,
        wait: if args.no_wait { Wait::Durable } else { Wait::Applied },
    })
}

fn check(texts: &[String], parse: fn(&str) -> Result<Selector, InvalidSelector>) -> Result<(), Failure> {
    texts.iter().try_for_each(|text| parse(text).map(drop).map_err(|error| Failure::usage(error.to_string())))
}

fn sentence(site: &SiteName, request: &PurgeRequest, purged: &Purged) -> String {
    let kinds = [(request.urls.len(), "URL"), (request.tags.len(), "tag"), (request.prefixes.len(), "prefix")];
    let named = kinds.iter().filter(|(number, _)| *number > 0).map(|(number, noun)| match (number, *noun) {
        (2.., "prefix") => format!("{number} prefixes"),
        _ => count(*number, noun),
    });
    let what = if request.all { "everything".to_owned() } else { named.collect::<Vec<_>>().join(" and ") };
    let verb = if request.soft { "made stale" } else { "purged" };
    match request.wait {
        Wait::Durable => format!("{site}: {what} will be {verb} on every node (entry {} of the log)", purged.seq),
        Wait::Applied if purged.nodes.is_empty() && purged.lagging.is_empty() => {
            format!("{site}: {what} {verb}; no node has joined the cluster yet")
        }
        Wait::Applied => format!("{site}: {what} {verb} {}", on_nodes(&purged.nodes)),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use holm_control::wire::{NodeTime, Purged};
    use holm_model::ids::Seq;

    use super::{request, sentence};
    use crate::args::{Cli, Command};

    fn args(options: &str) -> crate::args::PurgeArgs {
        let line = format!("holm purge {options}");
        match Cli::try_parse_from(line.split_whitespace()).map(|cli| cli.command) {
            Ok(Command::Purge(args)) => args,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn sentences() {
        let check = |options: &str, expected: &str| {
            let request = request(&args(options)).expect("a right purge");
            let node = NodeTime { node: "a".parse().expect("a name"), ms: 1 };
            let purged = Purged { seq: Seq::new(7), nodes: vec![node], lagging: Vec::new() };
            assert_eq!(sentence(&"shop".parse().expect("a name"), &request, &purged), expected);
        };
        check("--url http://a/ http://b/ --tag x", "shop: 2 URLs and 1 tag purged on 1 node");
        check("--prefix /a --prefix /b --soft", "shop: 2 prefixes made stale on 1 node");
        check("--all --no-wait", "shop: everything will be purged on every node (entry 7 of the log)");
    }

    #[test]
    fn mistakes_are_found_before_anything_is_sent() {
        let check = |options: &str, words: &str| {
            let failure = request(&args(options)).expect_err("a mistake");
            assert_eq!(format!("{:?}", failure.exit_code()), format!("{:?}", std::process::ExitCode::from(2)));
            assert!(failure.to_string().contains(words), "{failure}");
        };
        check("--url /a", "not an absolute URL");
        check("--prefix a", "not a path prefix");
        check("--tag é", "not a tag");
        check(&"--tag x ".repeat(1001), "the most in one purge is 1000");
    }
}
