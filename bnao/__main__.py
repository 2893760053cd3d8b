"""``python -m bnao``: the command line, also where its script is not on the path."""

from bnao.cli import main

if __name__ == "__main__":
    main()
