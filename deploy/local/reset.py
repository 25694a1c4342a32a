"""`make reset`: deletes the home of the embedded stack, after asking, and only while no stack runs in it."""

import shutil
import sys
from pathlib import Path

from deploy.local.home import MARKER, Home
from deploy.local.process import StackError
from kit.settings import Settings, load


class HomeSettings(Settings):
    """The one setting that counts here; a mistake in another one is no reason to keep the data."""

    privaterouter_home: Path = Path(".local")


def main() -> int:
    """Ask and delete; 1 when the directory is no home of ours or is in use, or the answer was no."""
    home = Home(load(HomeSettings).privaterouter_home.expanduser().absolute())
    if not home.root.exists():
        print(f"There is no {home.root}: nothing to delete.")
        return 0
    if not (home.root / MARKER).exists():
        print(f"{home.root} is not the home of an embedded stack (no {MARKER} in it): left alone.", file=sys.stderr)
        return 1
    try:
        home.create()
        with home.locked(stopped=lambda: False):
            if not agreed(f"Delete {home.root} with all accounts, keys and balances in it? [y/N] "):
                print("Left as it is.")
                return 1
            shutil.rmtree(home.root)
    except (StackError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    print(f"Deleted {home.root}.")
    return 0


def agreed(question: str) -> bool:
    """Whether the person says yes; silence is a no."""
    try:
        return input(question).strip().lower() in {"y", "yes"}
    except EOFError:
        print()
        return False


if __name__ == "__main__":
    sys.exit(main())
