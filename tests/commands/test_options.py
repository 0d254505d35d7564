import argparse
from dataclasses import fields

from edge_sam.commands.options import add_generator_options, generator_settings
from edge_sam.inference.automatic_masks import SamAutomaticMaskGenerator


def test_the_defaults_are_those_of_the_generator():
    parser = argparse.ArgumentParser()
    add_generator_options(parser)
    own = {field.name: field.default for field in fields(SamAutomaticMaskGenerator)}
    for name, value in generator_settings(parser.parse_args([])).items():
        assert value == own[name] and type(value) is type(own[name]), name
