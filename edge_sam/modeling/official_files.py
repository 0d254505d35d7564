"""The weight files that others published: what they are called, where they lie, how they are recognised."""

from dataclasses import dataclass

_SAM = "https://dl.fbaipublicfiles.com/segment_anything"
_MOBILE_SAM = "https://raw.githubusercontent.com/ChaoningZhang/MobileSAM/master/weights"
_EDGE_SAM = "https://huggingface.co/spaces/chongzhou/EdgeSAM/resolve/main/weights"


@dataclass(frozen=True)
class OfficialFile:
    """One published file; ``sha256_prefix`` is what its name says of its contents, if it says anything."""

    name: str
    file_name: str
    url: str
    sha256_prefix: str | None


def _file(name: str, folder: str, file_name: str, sha256_prefix: str | None = None) -> OfficialFile:
    return OfficialFile(name, file_name, f"{folder}/{file_name}", sha256_prefix)


OFFICIAL_FILES: dict[str, OfficialFile] = {
    file.name: file
    for file in (
        _file("sam_vit_h", _SAM, "sam_vit_h_4b8939.pth", "4b8939"),
        _file("sam_vit_l", _SAM, "sam_vit_l_0b3195.pth", "0b3195"),
        _file("sam_vit_b", _SAM, "sam_vit_b_01ec64.pth", "01ec64"),
        _file("mobile_sam", _MOBILE_SAM, "mobile_sam.pt"),
        _file("edge_sam", _EDGE_SAM, "edge_sam.pth"),
        _file("edge_sam_3x", _EDGE_SAM, "edge_sam_3x.pth"),
    )
}
"""By the name that ``edgesam download`` takes."""
