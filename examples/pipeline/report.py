"""Step 8: put everything on one page that opens in any browser.

python report.py
"""

from pathlib import Path

from gnnformd.evaluation.report.report import write_report

print(f"written: {write_report(Path('runs/argon'))}")
