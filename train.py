"""Train and evaluate: python train.py [+experiment=NAME] [group=option] [key=value]."""

import sys
from pathlib import Path

import hydra
from omegaconf import DictConfig

from musicrag import cli


@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def run(config: DictConfig) -> None:
    """Hand one composed configuration to musicrag."""
    cli.run_one(config)


if __name__ == "__main__":
    cli.main(run, sys.argv[1:], Path(__file__).parent / "conf")
