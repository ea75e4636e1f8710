"""Train and evaluate: python train.py [+experiment=NAME] [group=option] [key=value]."""

import sys

import hydra
from omegaconf import DictConfig

from musicrag import cli, experiment


@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def run(config: DictConfig) -> None:
    """Hand one composed configuration to musicrag."""
    experiment.run(config)


if __name__ == "__main__":
    cli.main(run, sys.argv[1:])
