//! `holm releases`: a site's releases, the latest first.

use holm_control::wire::ReleaseSummary;

use crate::args::ReleasesArgs;
use crate::output::{self, Side, Table, instant, line};
use crate::{Failure, cluster};

pub(super) async fn run(args: ReleasesArgs) -> Result<(), Failure> {
    let client = cluster::connect(&args.cluster)?;
    let site = cluster::site(&client, &args.site).await?;
    let mut releases = client.releases(&site).await?;
    releases.sort_by_key(|release| std::cmp::Reverse(release.release));
    if args.output.json {
        return output::json(&releases);
    }
    line(&table(&releases))
}

fn table(releases: &[ReleaseSummary]) -> String {
    let mut table = Table::new(&[
        ("release", Side::Right),
        ("created", Side::Left),
        ("handlers", Side::Right),
        ("files", Side::Right),
        ("", Side::Left),
    ]);
    for release in releases {
        let state = if release.active { "live" } else { "" };
        table.row(vec![
            release.release.to_string(),
            instant(release.created),
            release.handlers.to_string(),
            release.files.to_string(),
            state.to_owned(),
        ]);
    }
    table.render()
}

#[cfg(test)]
mod tests {
    use holm_control::wire::ReleaseSummary;
    use holm_model::ids::ReleaseNumber;
    use holm_model::units::Timestamp;

    use super::table;

    #[test]
    fn the_live_one_is_marked() {
        let release = |number, active| ReleaseSummary {
            site: "shop".parse().expect("a name"),
            release: ReleaseNumber::new(number),
            created: Timestamp::from_secs(0),
            active,
            handlers: 1,
            files: 20,
        };
        let expected = "release  created               handlers  files\n     \
                        10  1970-01-01 00:00:00Z         1     20\n      \
                        9  1970-01-01 00:00:00Z         1     20  live";
        assert_eq!(table(&[release(10, false), release(9, true)]), expected);
    }
}
