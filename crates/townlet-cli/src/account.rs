//! The account table: every event, and what became of it.

use std::fmt::Write as _;

use townlet_pipeline::{Account, FinalStatement, Statement, Telemetry};

/// One row for each sink and stream, a total for each sink, and the residual
/// of everything as the last line.
pub(crate) fn table(telemetry: &Telemetry, books: &FinalStatement) -> String {
    let mut rows = vec![row(["sink", "stream", "accepted", "delivered", "level", "dropped", "buffered", "spilled"])];
    for (sink, statement) in &books.sinks {
        for (stream, account) in telemetry.stream_accounts(sink).unwrap_or_default() {
            if account.accepted() > 0 {
                rows.push(account_row(sink, &stream, &account, None));
            }
        }
        rows.push(account_row(sink, "total", &statement.account, Some(statement)));
    }
    let widths: Vec<usize> =
        (0..rows[0].len()).map(|c| rows.iter().map(|r| r[c].chars().count()).max().unwrap_or(0)).collect();
    let mut text = String::new();
    for cells in &rows {
        for (n, (cell, width)) in cells.iter().zip(&widths).enumerate() {
            let pad = width - cell.chars().count();
            let (left, right) = if (2..=3).contains(&n) || n >= 6 { (pad, 0) } else { (0, pad) };
            let _ = write!(text, "{:left$}{cell}{:right$}  ", "", "");
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
    }
    let _ = write!(text, "residual {}", books.residual());
    text
}

fn account_row(sink: &str, stream: &str, account: &Account, total: Option<&Statement>) -> Vec<String> {
    let drops: Vec<String> = account.drops().map(|(reason, n)| format!("{n} {reason}")).collect();
    let dropped = if drops.is_empty() { "0".to_owned() } else { drops.join(", ") };
    row([
        sink,
        stream,
        &account.accepted().to_string(),
        &account.delivered().to_string(),
        &levels(account),
        &dropped,
        &total.map(|s| s.buffered.to_string()).unwrap_or_default(),
        &total.map(|s| s.spilled.to_string()).unwrap_or_default(),
    ])
}

fn levels(account: &Account) -> String {
    use townlet_transport::Level;
    let levels = [Level::Sent, Level::PeerAcked, Level::Durable];
    let named: Vec<&str> = levels.into_iter().filter(|l| account.delivered_at(*l) > 0).map(Level::as_str).collect();
    named.join("+")
}

fn row<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.into_iter().map(str::to_owned).collect()
}
