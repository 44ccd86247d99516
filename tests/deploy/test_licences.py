"""The licences of what the images contain allow redistribution, and the list of them is correct."""

from __future__ import annotations

from deploy import licences

PERMISSIVE = {
    "Apache Software License",
    "Apache-2.0",
    "Apache-2.0 AND Apache-2.0 WITH LLVM-exception AND BSD-2-Clause AND BSD-3-Clause AND BSL-1.0 AND MIT",
    "Apache-2.0 AND BSD-2-Clause",
    "Apache-2.0 OR BSD-2-Clause",
    "BSD License",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSD-3-Clause AND 0BSD AND MIT AND Zlib AND CC0-1.0",
    "MIT",
    "MIT License",
    "MIT-CMU",
    "PSF-2.0",
    "Python Software Foundation License",
}
UNCHANGED = {  # ask for their own source and its changes: used as they come, each a file of its own
    "crc32c": "GNU Lesser General Public License v2 or later (LGPLv2+)",
    "orjson": "MPL-2.0 AND (Apache-2.0 OR MIT)",
}


def test_what_the_images_carry_may_be_handed_on() -> None:
    groups = licences.groups()
    carried = groups["daemon"] | groups["gpu"] | groups["trainer"]
    others = {name: licences.licences()[name] for name in carried if licences.licences()[name] not in PERMISSIVE}
    assert others == UNCHANGED


def test_the_daemons_image_has_no_torch_unless_it_is_for_cuda() -> None:
    groups = licences.groups()
    assert "torch" in groups["gpu"] - groups["daemon"] - groups["trainer"]


def test_no_licence_is_unknown() -> None:
    assert "UNKNOWN" not in licences.licences().values()


def test_the_list_agrees_with_the_installed_packages() -> None:
    assert licences.FILE.read_text(encoding="utf-8") == licences.text()
