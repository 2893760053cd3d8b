"""Write docs/results.md: the words of results.template.md, every number from a study.json in docs/results/.

python docs/make_results.py
"""

from pathlib import Path

from results_page import page

PAGE = Path(__file__).resolve().parent / "results.md"

if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(PAGE)
