"""Service profiles as JSON files."""

import json
from pathlib import Path

from planner.schema.profile import Profile
from planner.store.documents import load_document
from planner.store.validate import read_model


def read_profile(path: Path) -> Profile:
    """Reads a profile.

    Raises:
        InputFileError: every mistake of the file.
    """
    return read_model(load_document(path), Profile, "profile")


def profile_json(profile: Profile) -> str:
    """A profile as its file holds it."""
    data = profile.model_dump(mode="json", by_alias=True)
    return json.dumps(data, indent=1, allow_nan=False, ensure_ascii=False) + "\n"
