"""The style sheet of the verification page, light and dark, without external resources."""

STYLE = """
:root {
  color-scheme: light dark;
  --page: #f6f7f9; --card: #ffffff; --ink: #16191f; --soft: #5d6675; --line: #e3e6eb; --track: #eceff3;
  --reference: #8a94a6; --variant: #2f6fed; --good: #12805c; --good-wash: #e2f4ec; --bad: #c3264e;
  --bad-wash: #fce6ec;
  --tie: #ffbe28; --real: #ff286e; --shadow: 0 1px 2px #10182812, 0 4px 16px #1018280a;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #0e1116; --card: #171b22; --ink: #e9edf3; --soft: #98a2b3; --line: #272d37; --track: #232933;
    --reference: #77839a; --variant: #6a9bff; --good: #4cc79a; --good-wash: #12301f; --bad: #ff6d90;
    --bad-wash: #3a1520; --shadow: none;
  }
}
* { box-sizing: border-box }
body { margin: 0; background: var(--page); color: var(--ink); line-height: 1.5;
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
  font-variant-numeric: tabular-nums }
main { max-width: 1180px; margin: 0 auto; padding: 40px 24px 72px }
h1 { font-size: 30px; line-height: 1.2; letter-spacing: -.02em; margin: 0 }
h2 { font-size: 20px; letter-spacing: -.01em; margin: 48px 0 14px; display: flex; align-items: center; gap: 12px }
h3 { font-size: 12px; font-weight: 600; letter-spacing: .06em; text-transform: uppercase; color: var(--soft);
  margin: 0 0 14px }
p { margin: 0 }
.top { display: flex; align-items: center; gap: 14px; flex-wrap: wrap }
.lead { color: var(--soft); margin-top: 8px; max-width: 100ch }
.note { margin-top: 18px; padding: 12px 16px; background: var(--card); border: 1px solid var(--line);
  border-left: 4px solid var(--tie); border-radius: 8px; max-width: 90ch }
.pill { font-size: 13px; font-weight: 600; padding: 3px 12px; border-radius: 99px; letter-spacing: 0;
  white-space: nowrap }
.pill.good { background: var(--good-wash); color: var(--good) }
.pill.bad { background: var(--bad-wash); color: var(--bad) }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 20px 22px;
  box-shadow: var(--shadow) }
.grid { display: grid; gap: 16px; grid-template-columns: repeat(auto-fit, minmax(440px, 1fr)) }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 1px; margin: 0 0 16px;
  background: var(--line); border: 1px solid var(--line); border-radius: 12px; overflow: hidden;
  box-shadow: var(--shadow) }
.figures div { background: var(--card); padding: 14px 18px }
.figures dt { color: var(--soft); font-size: 13px } .figures dd { margin: 2px 0 0; font-size: 22px;
  font-weight: 600; letter-spacing: -.01em }
.figures small { display: block; font-size: 12px; font-weight: 400; color: var(--soft); letter-spacing: 0 }
table { border-collapse: collapse; width: 100% }
th { text-align: left; font-size: 12px; font-weight: 500; color: var(--soft); padding: 0 10px 8px 0;
  white-space: nowrap }
td { padding: 7px 10px 7px 0; border-top: 1px solid var(--line); vertical-align: middle }
td:last-child, th:last-child { padding-right: 0 }
.number { text-align: right; white-space: nowrap }
.name { white-space: nowrap }
.swatch { display: inline-block; width: 12px; height: 12px; border-radius: 3px; margin-right: 9px;
  vertical-align: -1px;
  box-shadow: inset 0 0 0 1px #0002 }
.faint { color: var(--soft) } .badtext { color: var(--bad); font-weight: 600 } .goodtext { color: var(--good);
  font-weight: 600 }
.bars { min-width: 120px; width: 32% }
.bar { height: 6px; border-radius: 3px; background: var(--track); overflow: hidden; margin: 2px 0 }
.bar i { display: block; height: 100%; border-radius: 3px }
.bar .reference { background: var(--reference) } .bar .variant { background: var(--variant) }
.bar .good { background: var(--good) } .bar .bad { background: var(--bad) }
.key { font-size: 12px; color: var(--soft); margin-top: 12px } .key i { display: inline-block; width: 10px;
  height: 10px;
  border-radius: 3px; margin: 0 5px 0 14px; vertical-align: -1px } .key i:first-child { margin-left: 0 }
.wide { overflow-x: auto }
.frame { margin-bottom: 16px; padding: 16px 18px 18px } .frame h4 { margin: 0 0 10px; font-size: 14px;
  font-weight: 600 }
.row { display: grid; grid-template-columns: repeat(auto-fit, minmax(215px, 1fr)); gap: 14px }
.row figure + figure { margin-top: 12px }
figure { margin: 0 } figure img { display: block; width: 100%; border-radius: 8px; background: var(--track) }
figcaption { font-size: 12px; color: var(--soft); margin-top: 6px }
.legend { display: flex; flex-wrap: wrap; gap: 4px 18px; margin: 0 0 16px; font-size: 13px; color: var(--soft) }
footer { margin-top: 48px; padding-top: 16px; border-top: 1px solid var(--line); color: var(--soft); font-size: 13px }
@media (max-width: 560px) { .grid { grid-template-columns: 1fr } main { padding: 24px 14px 48px } }
"""
