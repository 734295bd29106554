//! docs/metrics.md, made from the metrics.

use std::fmt::Write;

use super::{Error, Metrics};

/// The page.
///
/// # Errors
/// See [`Error`].
pub fn manual() -> Result<String, Error> {
    let mut page = String::from(HEAD);
    for metric in Metrics::new()?.definitions()? {
        let labels = metric.labels.iter().map(|label| format!("`{label}`")).collect::<Vec<_>>().join(", ");
        let _ = writeln!(page, "| `{}` | {} | {labels} | {} |", metric.name, metric.kind, metric.help);
    }
    page.push_str(TAIL);
    Ok(page)
}

const HEAD: &str = "# Metrics

<!-- Made from the metrics: pptpscope config metrics-manual > docs/metrics.md -->

```
sudo pptpscope run --no-config --metrics 127.0.0.1:9723
curl -s http://127.0.0.1:9723/metrics
```

or in the configuration:

```toml
[metrics]
listen = \"127.0.0.1:9723\"
token-file = \"/etc/pptpscope/metrics.token\"
```

Off unless asked for. With `token-file` a scraper must show that bearer token (Prometheus: `authorization: {credentials_file: …}`); for an address
that is not the loopback a token is required. With `certificate-file` and `key-file` (PEM, read once) metrics are served by HTTPS.
A thread of its own answers, 16 connections at a time, each for 10 s at most: a scraper cannot slow the agent.

Labels are bounded: phases, reasons, codes, and names that the configuration or the program gives. No client, user or call is ever
in a label; the events have them.

| metric | type | labels | meaning |
|---|---|---|---|
";

const TAIL: &str = "
Sums of GRE packets are taken from `gre.stats` and `session.end`, so they follow with the interval of statistics. The agent's own state is
that of the last second.

The run time of the programs in the kernel is there while the kernel measures it, which takes time itself: `sysctl kernel.bpf_stats_enabled=1`.

## Alerts and dashboard

The Debian package has [alert rules](../package/prometheus/pptpscope.rules.yml) for Prometheus and a [dashboard](../package/grafana/pptpscope.json)
for Grafana in `/usr/share/pptpscope`. They expect the job to be called `pptpscope`:

```yaml
rule_files: [/usr/share/pptpscope/prometheus/pptpscope.rules.yml]
scrape_configs:
  - job_name: pptpscope
    static_configs: [{targets: [\"127.0.0.1:9723\"]}]
    # With a token, and with a certificate:
    # authorization: {credentials_file: /etc/prometheus/pptpscope.token}
    # scheme: https
    # tls_config: {ca_file: /etc/prometheus/ca.pem}
```
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_manual_is_that_of_the_metrics() {
        let committed = include_str!("../../../docs/metrics.md");
        let made = manual().unwrap();
        assert!(
            made == committed,
            "run: cargo run -q -p pptpscope -- config metrics-manual > docs/metrics.md"
        );
    }
}
