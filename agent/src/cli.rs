//! The command line: one file per subcommand.

mod analyze;
mod config;
mod doctor;
mod explain;
mod generate;
mod progress;
mod record;
mod replay;
mod run;
mod schema;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

/// Exit code when the privileges for a command are missing.
pub const EXIT_PRIVILEGE: u8 = 3;
/// Exit code when the command line or the configuration is wrong.
const EXIT_USAGE: u8 = 2;

#[derive(Debug, Parser)]
#[command(
    name = "pptpscope",
    version,
    about = "Follows every PPTP call of this host in the kernel and writes one JSON line per fact.",
    long_about = "Follows every PPTP call of this host, from the first SYN on port 1723 to the last GRE \
                  packet, with small programs in the kernel, and writes one JSON line per fact.\n\n\
                  It changes nothing on the host: no firewall rule, no module, no setting. When it \
                  ends, everything it attached is gone.",
    after_long_help = "EXAMPLES:\n  \
        Watch every uplink of this host, lines on the terminal:\n    \
            sudo pptpscope run --no-config\n  \
        Watch one interface and keep the lines in a file:\n    \
            sudo pptpscope run --no-config --interface eth0 >> /var/log/pptpscope.jsonl\n  \
        Which calls failed, and how far did they get?\n    \
            sudo pptpscope run --no-config | jq 'select(.event==\"session.end\" and .session_end.was_up==false)'\n\n\
        EXIT STATUS:\n  \
            0 ended as asked    1 failed    2 wrong usage    3 privileges are missing"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Watch this host and write events as JSON Lines to standard output.
    Run(run::Args),
    /// Read captures (pcap, pcapng) and tell what happened to each call.
    Analyze(analyze::Args),
    /// Watch this host and record what is seen, for replay.
    Record(record::RecordArgs),
    /// Write the events of a recording, byte for byte.
    Replay(replay::Args),
    /// Tell what a finding means, what decides it, and what to do about it.
    Explain(explain::Args),
    /// Check this host's firewall, modules and configuration, without waiting for a call.
    Doctor(doctor::Args),
    /// Show the configuration that holds, or every option that there is.
    Config(config::Args),
    /// Print the JSON Schema of the events, of the doctor's report, or of the configuration.
    Schema(schema::Args),
    /// Print the completions for a shell.
    Completions(generate::Completions),
    /// Write manual pages into a folder.
    #[command(hide = true)]
    ManPages(generate::ManPages),
    /// Print the message catalogue of the journal.
    #[command(hide = true)]
    JournalCatalogue,
}

/// Reads the command line and does what it says.
pub fn main() -> anyhow::Result<ExitCode> {
    match Cli::parse().command {
        Command::Run(args) => run::main(&args, true),
        Command::Analyze(args) => analyze::main(&args),
        Command::Record(args) => record::main(args),
        Command::Replay(args) => replay::main(&args),
        Command::Explain(args) => explain::main(&args),
        Command::Doctor(args) => doctor::main(&args),
        Command::Config(args) => config::main(&args),
        Command::Schema(args) => schema::main(&args),
        Command::Completions(args) => generate::completions(&args, Cli::command()),
        Command::JournalCatalogue => generate::journal_catalogue(),
        Command::ManPages(args) => generate::man_pages(&args, Cli::command()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
