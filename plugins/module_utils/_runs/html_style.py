# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How the page looks: light and dark, on a phone, on a desk, on paper. Nothing is loaded from anywhere."""

from __future__ import annotations

STYLE = """
:root {
  color-scheme: light dark;
  --page: #f5f6f8; --card: #ffffff; --ink: #16202c; --soft: #5b6878; --faint: #8b96a5; --line: #e3e7ec; --track: #e9edf1;
  --met: #12805c; --met-bg: #e3f5ed; --missed: #b25e09; --missed-bg: #fdf0dc; --failed: #c02b37; --failed-bg: #fde8e9;
  --unknown: #566479; --unknown-bg: #e8ecf2; --accent: #2f62c9; --accent-soft: #a9c1f2; --changed: #2f62c9;
  --shadow: 0 1px 2px rgba(20, 32, 50, .05), 0 6px 20px rgba(20, 32, 50, .05);
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #0e1319; --card: #171e27; --ink: #e7ecf2; --soft: #a3b0c0; --faint: #74818f; --line: #28313d; --track: #26303b;
    --met: #3fc592; --met-bg: #11312a; --missed: #f0a44a; --missed-bg: #38270f; --failed: #ff7a80; --failed-bg: #3d1a1e;
    --unknown: #a7b4c6; --unknown-bg: #252e3a; --accent: #7ea6f5; --accent-soft: #33507f; --changed: #7ea6f5;
    --shadow: none;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body {
  margin: 0; background: var(--page); color: var(--ink); font-size: 15px; line-height: 1.5;
  font-family: "Inter", "Segoe UI", system-ui, -apple-system, "Helvetica Neue", "Noto Sans", "Liberation Sans", Arial, sans-serif;
  font-variant-numeric: tabular-nums;
}
main { max-width: 1060px; margin: 0 auto; padding: 28px 20px 48px; }
h1, h2, h3, p, dl, dd, ul, ol { margin: 0; padding: 0; }
h2 { font-size: 13px; font-weight: 650; letter-spacing: .06em; text-transform: uppercase; color: var(--soft); margin: 34px 0 12px; }
code { font-family: ui-monospace, "SF Mono", "Cascadia Mono", "Liberation Mono", Menlo, monospace; font-size: .87em; overflow-wrap: anywhere; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 14px; box-shadow: var(--shadow); }
.soft { color: var(--soft); } .faint { color: var(--faint); }
.met { --tone: var(--met); --tone-bg: var(--met-bg); }
.missed { --tone: var(--missed); --tone-bg: var(--missed-bg); }
.failed { --tone: var(--failed); --tone-bg: var(--failed-bg); }
.unknown { --tone: var(--unknown); --tone-bg: var(--unknown-bg); }

.top { display: flex; justify-content: space-between; gap: 12px; font-size: 13px; color: var(--soft); margin-bottom: 12px; }
.hero { overflow: hidden; }
.hero-verdict { display: flex; gap: 20px; align-items: center; padding: 26px 28px; background: var(--tone-bg); }
.seal { flex: none; width: 60px; height: 60px; border-radius: 50%; background: var(--tone); display: grid; place-items: center; }
.seal svg { width: 34px; height: 34px; stroke: var(--card); stroke-width: 2.6; fill: none; stroke-linecap: round; stroke-linejoin: round; }
.hero h1 { font-size: 30px; line-height: 1.15; letter-spacing: -.015em; color: var(--tone); }
.hero h1 + p { font-size: 16px; margin-top: 5px; overflow-wrap: anywhere; }
.facts { display: grid; grid-template-columns: 1.5fr repeat(4, 1fr); gap: 1px; background: var(--line); border-top: 1px solid var(--line); }
.facts div { background: var(--card); padding: 13px 18px; min-width: 0; }
.facts dt { font-size: 12px; color: var(--soft); }
.facts dd { font-size: 16px; font-weight: 600; overflow-wrap: anywhere; }

.components { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(430px, 100%), 1fr)); gap: 16px; }
.component { padding: 20px 22px; border-top: 4px solid var(--tone); min-width: 0; break-inside: avoid; }
.component header { display: flex; justify-content: space-between; align-items: flex-start; gap: 10px; }
.component h3 { font-size: 19px; line-height: 1.25; letter-spacing: -.01em; overflow-wrap: anywhere; }
.badge { flex: none; display: inline-block; padding: 2px 11px; border-radius: 99px; font-size: 13px; font-weight: 650; color: var(--tone); background: var(--tone-bg); }
.message { margin-top: 10px; padding: 9px 12px; border-radius: 9px; background: var(--tone-bg); font-size: 14px; overflow-wrap: anywhere; white-space: pre-line; }
.gauges { display: grid; grid-template-columns: 1fr 1fr; gap: 22px; margin-top: 16px; }
.gauge-head { display: flex; justify-content: space-between; align-items: baseline; font-size: 12px; color: var(--soft); }
.gauge-head b { font-weight: 650; letter-spacing: .05em; }
.gauge-value { font-size: 24px; font-weight: 660; line-height: 1.25; letter-spacing: -.015em; color: var(--tone); white-space: nowrap; }
.gauge-value.small { font-size: 18px; line-height: 30px; }
.bar { position: relative; height: 10px; margin: 6px 0 5px; }
.bar i { position: absolute; inset: 0 auto 0 0; border-radius: 5px; }
.bar .room { background: var(--track); }
.bar .fill { background: var(--tone); min-width: 5px; }
.bar .fill.bound { background: repeating-linear-gradient(-45deg, var(--tone) 0 4px, transparent 4px 8px); border: 1px solid var(--tone); }
.bar .none { background: repeating-linear-gradient(-45deg, var(--track) 0 5px, transparent 5px 10px); border: 1px solid var(--track); }
.bar .target { inset: -4px auto -4px auto; width: 2px; margin-left: -1px; background: var(--ink); border-radius: 1px; }
.basis { font-size: 12px; line-height: 1.4; color: var(--faint); }
.ladder { display: grid; grid-template-columns: repeat(4, 1fr); list-style: none; margin-top: 18px; font-size: 12px; color: var(--faint); }
.ladder li { position: relative; padding-top: 19px; text-align: center; }
.ladder li::before { content: ""; position: absolute; top: 6px; left: calc(-50% + 9px); width: calc(100% - 18px); height: 2px; background: var(--track); }
.ladder li:first-child::before { display: none; }
.ladder li::after { content: ""; position: absolute; top: 1px; left: calc(50% - 6px); width: 12px; height: 12px; border-radius: 50%; background: var(--card); border: 2px solid var(--track); }
.ladder .reached { color: var(--ink); }
.ladder .reached::before { background: var(--met); }
.ladder .reached::after { background: var(--met); border-color: var(--met); }
.ladder .here { font-weight: 650; }
.details { margin-top: 16px; display: grid; grid-template-columns: max-content 1fr; gap: 3px 14px; font-size: 13.5px; }
.details dt { color: var(--soft); } .details dd { min-width: 0; overflow-wrap: anywhere; }
.probes { list-style: none; margin-top: 14px; display: flex; flex-wrap: wrap; gap: 6px; font-size: 13px; }
.probes li { border: 1px solid var(--line); border-radius: 8px; padding: 2px 9px; overflow-wrap: anywhere; }
.probes li::before { content: ""; display: inline-block; width: 8px; height: 8px; border-radius: 50%; background: var(--tone); margin-right: 6px; }
.probes .plain::before, .changes .plain::before { background: var(--faint); }
.disabled { list-style: none; margin-top: 10px; font-size: 13px; color: var(--soft); }
.disabled li { overflow-wrap: anywhere; } .disabled li::before { content: "left out · "; color: var(--faint); }
.figure { margin-top: 14px; white-space: normal; overflow-wrap: anywhere; font-size: 20px; } .budget { margin-top: 8px; }
.changes, .boxes { list-style: none; color: var(--ink); } .changes li, .boxes li { padding: 3px 0; overflow-wrap: anywhere; break-inside: avoid; }
.changes li::before { content: ""; display: inline-block; width: 8px; height: 8px; border-radius: 50%; background: var(--tone); margin-right: 9px; }
.boxes li { display: grid; grid-template-columns: 14px 1fr; gap: 10px; align-items: baseline; }
.boxes li::before { content: ""; width: 12px; height: 12px; border: 1.5px solid var(--soft); border-radius: 3px; transform: translateY(1px); }
.since { margin-top: 8px; font-size: 13px; overflow-wrap: anywhere; }

.findings { list-style: none; overflow: hidden; }
.findings li { display: grid; grid-template-columns: 78px 1fr; gap: 12px; padding: 11px 18px; border-top: 1px solid var(--line); font-size: 14px; break-inside: avoid; }
.findings li:first-child { border-top: 0; }
.findings span { color: var(--tone); font-weight: 650; } .findings div { min-width: 0; } .findings p { overflow-wrap: anywhere; white-space: pre-line; }
.findings .seen { color: var(--soft); font-size: 13px; }
.findings code { display: block; margin-top: 6px; padding: 5px 10px; border-radius: 6px; background: var(--page); border: 1px solid var(--line); white-space: pre-wrap; overflow-wrap: anywhere; user-select: all; }
.allclear { padding: 13px 18px; color: var(--soft); }

.timeline { padding: 18px 22px 16px; }
.axis, .lane { display: grid; grid-template-columns: 236px 1fr 92px; gap: 12px; align-items: center; }
.axis { font-size: 12px; color: var(--faint); height: 20px; }
.ticks { position: relative; height: 100%; }
.ticks span { position: absolute; transform: translateX(-50%); white-space: nowrap; }
.ticks span:first-child { transform: none; } .ticks span:last-child { transform: translateX(-100%); }
.group { font-size: 13px; font-weight: 650; margin: 12px 0 2px; overflow-wrap: anywhere; }
.lane { min-height: 25px; font-size: 13.5px; break-inside: avoid; }
.lane > :first-child { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.lane > :last-child { text-align: right; color: var(--soft); white-space: nowrap; }
.rail { position: relative; height: 25px; background: linear-gradient(90deg, var(--line) 1px, transparent 1px) 0 0 / 25% 100%; border-right: 1px solid var(--line); }
.rail i { position: absolute; top: 6px; height: 13px; min-width: 4px; border-radius: 4px; background: var(--tone); }
.rail .interrupted { background: repeating-linear-gradient(-45deg, var(--failed) 0 4px, transparent 4px 8px); border: 1px solid var(--failed); }
.ok { --tone: var(--met); } .changed { --tone: var(--changed); } .skipped { --tone: var(--faint); }
.interrupted { --tone: var(--failed); }
.lane.failed > :first-child, .lane.interrupted > :first-child { color: var(--failed); font-weight: 600; }
.legend { display: flex; flex-wrap: wrap; gap: 4px 16px; margin-top: 12px; font-size: 12px; color: var(--soft); list-style: none; }
.legend li::before { content: ""; display: inline-block; width: 14px; height: 8px; border-radius: 3px; background: var(--tone); margin-right: 6px; }

.evidence { padding: 6px 22px 20px; }
.evidence > dl { display: grid; grid-template-columns: 150px 1fr; font-size: 14px; }
.evidence > dl > * { padding: 9px 0; border-bottom: 1px solid var(--line); min-width: 0; overflow-wrap: anywhere; }
.evidence dt { color: var(--soft); }
.signs { display: grid; grid-template-columns: repeat(auto-fit, minmax(220px, 1fr)); gap: 34px 28px; margin-top: 42px; break-inside: avoid; }
.sign { border-top: 1px solid var(--ink); padding-top: 5px; font-size: 12px; color: var(--soft); position: relative; }
.sign b { position: absolute; bottom: 100%; left: 0; color: var(--ink); font-size: 15px; font-weight: 600; padding-bottom: 3px; }
table { width: 100%; border-collapse: collapse; font-size: 14px; }
th { text-align: left; font-weight: 600; font-size: 12px; color: var(--soft); }
th, td { padding: 9px 14px; border-top: 1px solid var(--line); vertical-align: top; overflow-wrap: anywhere; }
tr:first-child th { border-top: 0; } th:last-child { width: 70%; } td:nth-child(2) { white-space: nowrap; }
td.tone { color: var(--tone); font-weight: 650; }
.scroll { overflow-x: auto; }
footer { margin-top: 26px; font-size: 12px; color: var(--faint); overflow-wrap: anywhere; }

@media (max-width: 640px) {
  main { padding: 14px 12px 32px; }
  .top { flex-direction: column; gap: 0; }
  .hero-verdict { padding: 20px 18px; gap: 14px; } .seal { width: 46px; height: 46px; } .seal svg { width: 26px; height: 26px; }
  .hero h1 { font-size: 24px; } .hero h1 + p { font-size: 15px; }
  .facts { grid-template-columns: 1fr 1fr; } .facts div:first-child { grid-column: 1 / -1; }
  .component { padding: 16px; } .gauges { gap: 16px; } .gauge-value { font-size: 21px; }
  .timeline { padding: 14px; }
  .axis { grid-template-columns: 1fr; } .axis > :first-child, .axis > :last-child { display: none; }
  .lane { grid-template-columns: 1fr max-content; gap: 0 10px; padding: 4px 0; }
  .lane > :nth-child(1) { grid-area: 1 / 1; white-space: normal; } .lane > :nth-child(3) { grid-area: 1 / 2; }
  .rail { grid-area: 2 / 1 / 3 / 3; height: 15px; } .rail i { top: 2px; height: 11px; }
  .findings li { grid-template-columns: 1fr; gap: 0; } th:last-child { width: 45%; } th { overflow-wrap: normal; }
  .evidence { padding: 4px 16px 18px; } .evidence > dl { grid-template-columns: 1fr; }
  .evidence dt { border: 0; padding-bottom: 0; } .evidence dd { padding-top: 0; }
}
@page { size: A4; margin: 14mm 12mm; }
@media print {
  :root {
    color-scheme: light;
    --page: #fff; --card: #fff; --ink: #16202c; --soft: #4a5665; --faint: #6b7684; --line: #d8dde3; --track: #e3e8ed;
    --met: #12805c; --met-bg: #e3f5ed; --missed: #b25e09; --missed-bg: #fdf0dc; --failed: #c02b37; --failed-bg: #fde8e9;
    --unknown: #566479; --unknown-bg: #e8ecf2; --accent: #2f62c9; --accent-soft: #a9c1f2; --changed: #2f62c9; --shadow: none;
  }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  body { font-size: 12px; } main { max-width: none; padding: 0; }
  h2 { margin: 20px 0 8px; break-after: avoid; }
  .components { grid-template-columns: 1fr 1fr; gap: 10px; }
  .hero-verdict { padding: 16px 20px; } .hero h1 { font-size: 23px; } .hero h1 + p { font-size: 13px; }
  .seal { width: 46px; height: 46px; } .seal svg { width: 26px; height: 26px; }
  .facts div { padding: 8px 14px; } .facts dd { font-size: 12.5px; } .facts dt, .basis { font-size: 10.5px; }
  .probes, .disabled, .since, .message, .findings .seen { font-size: 10.5px; } .allclear { break-inside: avoid; }
  .component { padding: 14px 16px; } .gauge-value { font-size: 19px; } .figure { font-size: 16px; } .details, .findings li, .lane { font-size: 11.5px; }
  .lane { min-height: 20px; } .rail { height: 20px; } .rail i { top: 4px; height: 12px; }
  .evidence > dl { font-size: 11.5px; } .evidence > dl > * { padding: 5px 0; } .evidence, .timeline { break-inside: avoid-page; }
  .axis, .lane { grid-template-columns: 200px 1fr 72px; }
}
"""
