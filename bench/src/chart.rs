//! The two charts.

use crate::args::Plan;
use crate::cells::{Kind, CPU, MESSAGE};
use crate::results::Results;
use crate::servers::{Server, Wire};
use plotters::prelude::*;
use std::io;
use std::path::{Path, PathBuf};

/// One line: connections, and the number there.
type Line = (Server, Vec<(f64, f64)>);

/// Draws what was measured at two numbers of connections at least. Returns the files.
pub fn draw(results: &Results, plan: &Plan, servers: &[Server]) -> io::Result<Vec<PathBuf>> {
    let growth = lines(results, plan, servers, CPU, |kind| match kind {
        Kind::Echo { connections, in_flight: 64, bytes: MESSAGE, .. } => Some(connections),
        _ => None,
    });
    let memory = lines(results, plan, servers, 0, |kind| match kind {
        Kind::Idle { connections, .. } => Some(connections),
        _ => None,
    });
    let mut files = Vec::new();
    for (name, title, axis, lines) in [
        ("cpu.svg", "Server time per message, 64 in flight", "µs per message", growth),
        ("memory.svg", "Memory of a silent connection", "KiB per connection", memory),
    ] {
        if lines.iter().any(|(_, points)| points.len() > 1) {
            let file = plan.out.with_file_name(name);
            chart(&file, title, axis, &lines)
                .map_err(|error| io::Error::other(error.to_string()))?;
            files.push(file);
        }
    }
    Ok(files)
}

fn lines(
    results: &Results,
    plan: &Plan,
    servers: &[Server],
    column: usize,
    connections: impl Fn(Kind) -> Option<usize>,
) -> Vec<Line> {
    let line = |server: Server| {
        let points =
            plan.cells.iter().filter(|cell| cell.wire == Wire::WebSocket).filter_map(|cell| {
                let value = results.median(&cell.name, server, column)?;
                // The axis has a logarithmic scale.
                (value > 0.0).then_some((connections(cell.kind)? as f64, value))
            });
        (server, points.collect::<Vec<_>>())
    };
    servers.iter().map(|server| line(*server)).filter(|(_, points)| !points.is_empty()).collect()
}

fn chart(
    file: &Path,
    title: &str,
    axis: &str,
    lines: &[Line],
) -> Result<(), Box<dyn std::error::Error>> {
    let all = || lines.iter().flat_map(|(_, points)| points);
    let least = all().map(|point| point.0).fold(f64::MAX, f64::min);
    let most = all().map(|point| point.0).fold(1.0, f64::max);
    let low = all().map(|point| point.1).fold(f64::MAX, f64::min);
    let high = all().map(|point| point.1).fold(0.0, f64::max);

    // Room for the legend, above the lines.
    let above = (high / low).max(4.0).powf(0.7);

    let root = SVGBackend::new(file, (760, 460)).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .caption(title, ("sans-serif", 20))
        .margin(16)
        .x_label_area_size(44)
        .y_label_area_size(64)
        .build_cartesian_2d(
            (least * 0.8..most * 1.3).log_scale(),
            (low / 1.5..high * above).log_scale(),
        )?;
    chart
        .configure_mesh()
        .x_desc("connections")
        .y_desc(axis)
        .light_line_style(WHITE)
        .x_label_formatter(&short)
        .y_label_formatter(&short)
        .draw()?;
    for (server, points) in lines {
        let style = colour(*server).stroke_width(2);
        chart
            .draw_series(LineSeries::new(points.iter().copied(), style))?
            .label(server.name())
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], style));
        let dots = points.iter().map(|point| Circle::new(*point, 3, colour(*server).filled()));
        chart.draw_series(dots)?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK.mix(0.2))
        .draw()?;
    root.present()?;
    Ok(())
}

/// Without the last digits of a sum of tenths.
fn short(value: &f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_string()
}

/// Colours that can be told apart without red and green.
fn colour(server: Server) -> RGBColor {
    match server {
        Server::Sockling | Server::SocklingTls | Server::SocklingDeflate => RGBColor(213, 94, 0),
        Server::SocklingLines | Server::SocklingTlsLines => RGBColor(240, 228, 66),
        Server::Tungstenite | Server::TinyHttp => RGBColor(0, 114, 178),
        Server::TokioTungstenite | Server::TokioTungsteniteTls => RGBColor(86, 180, 233),
        Server::FastWebsockets | Server::Axum | Server::YawcDeflate => RGBColor(0, 158, 115),
        Server::NodeWs | Server::NodeWsDeflate | Server::Rouille => RGBColor(204, 121, 167),
        Server::PythonWebsockets => RGBColor(230, 159, 0),
        Server::TcpThreads => RGBColor(60, 60, 60),
        Server::TcpEpoll => RGBColor(160, 160, 160),
    }
}
