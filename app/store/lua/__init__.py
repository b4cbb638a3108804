"""Redis's side of the store, in Lua: what must be atomic. It compares, counts and moves; it knows no rule."""

from pathlib import Path


def lua(*names: str) -> str:
    """The script of these files, one after the other; what an earlier one defines, a later one uses."""
    folder = Path(__file__).parent
    return "\n".join((folder / f"{name}.lua").read_text("utf-8") for name in names)
