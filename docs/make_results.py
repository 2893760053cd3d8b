"""Write docs/results.md: the words of results.template.md, every number from a study.json in docs/results/.

python docs/make_results.py [--again]

With --again the figures of the ranking studies are counted anew from the scores that their study.json holds, as after a
figure is added; nothing is trained.
"""

import json
import sys
from pathlib import Path

from results_page import page

from bnao.run import Folder
from bnao.studies.ranking import RankingStudy

PAGE = Path(__file__).resolve().parent / "results.md"
RESULTS = PAGE.parent / "results"


def count_again() -> None:
    """Count the figures of every ranking study anew."""
    for path in sorted(RESULTS.glob("*/study.json")):
        content = json.loads(path.read_text(encoding="utf-8"))
        if content.get("kind") == "ranking":
            again = RankingStudy.from_json(content).to_json()
            Folder(path.parent).write_json(path.name, {**content, **again})
            print(path, flush=True)


if __name__ == "__main__":
    if "--again" in sys.argv[1:]:
        count_again()
    PAGE.write_text(page(), encoding="utf-8")
    print(PAGE)
