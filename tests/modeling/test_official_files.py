from edge_sam.modeling.official_files import OFFICIAL_FILES


def test_every_file_has_a_name_an_address_and_what_its_name_says_of_its_contents():
    assert set(OFFICIAL_FILES) == {"sam_vit_h", "sam_vit_l", "sam_vit_b", "mobile_sam", "edge_sam", "edge_sam_3x"}
    for name, file in OFFICIAL_FILES.items():
        assert file.name == name
        assert file.url.startswith("https://")
        assert file.url.endswith(f"/{file.file_name}")
        assert (file.sha256_prefix is not None) == name.startswith("sam_")
        assert file.sha256_prefix is None or f"_{file.sha256_prefix}." in file.file_name
