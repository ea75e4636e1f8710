"""Training of a graph encoder on the pairs of the training split, by Lightning.

Takes plain arguments and gives embeddings. What "better on validation" means comes in as a
function, because this package stands left of evaluation.
"""

from __future__ import annotations

import logging
import math
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from lightning.pytorch.loggers import Logger
from scipy import sparse
from torch import Tensor
from torch.nn import functional
from torch.utils.data import BatchSampler, DataLoader, RandomSampler, TensorDataset

from musicrag.gnn.model import GraphEncoder
from musicrag.types import FloatArray, IntArray

log = logging.getLogger(__name__)

Validate = Callable[[FloatArray, FloatArray], float]
"""``(profile vectors [P, d], item vectors [I, d]) -> validation score``; higher is better."""

_MONITOR = "valid_score"


@dataclass(frozen=True)
class Objective:
    """The loss and its optimiser; names and units as in ``conf/gnn``."""

    loss: Literal["softmax", "bpr"]
    temperature: float
    num_negatives: int
    batches_per_epoch: int
    lr: float
    weight_decay: float
    num_epochs: int
    validate_every: int
    patience: int


@dataclass(frozen=True)
class Embeddings:
    """Trained vectors: profiles ``[P, d]``, items ``[I, d]``, nodes ``[N, d]``, float32."""

    profiles: FloatArray
    items: FloatArray
    nodes: FloatArray
    best_epoch: int
    valid_score: float


class GraphRecommender(lightning.LightningModule):
    r"""One module for every graph network: full-batch propagation, sampled pairs.

    Softmax loss over one positive and shared negatives, uniform over items that somebody has in
    training (others would be taught to score low for being new); the profile's own are masked:

    .. math:: -\log \frac{e^{s_{pi}/\tau}}{e^{s_{pi}/\tau} + \sum_{j} e^{s_{pj}/\tau}}

    BPR (Rendle et al. 2009) averages :math:`-\log \sigma((s_{pi} - s_{pj})/\tau)` instead.
    """

    def __init__(
        self,
        encoder: GraphEncoder,
        profile_nodes: IntArray,
        item_nodes: IntArray,
        train: sparse.csr_matrix,
        objective: Objective,
        validate: Validate,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.objective = objective
        self.validate = validate
        self.profile_nodes = torch.from_numpy(profile_nodes)
        self.item_nodes = torch.from_numpy(item_nodes)
        by_item = train.tocsc()
        self.owner_ptr = torch.from_numpy(by_item.indptr.astype(np.int64))
        self.owners = torch.from_numpy(by_item.indices.astype(np.int64))
        self.warm = torch.nonzero(self.owner_ptr.diff()).squeeze(1)

    def training_step(self, batch: tuple[Tensor, ...], batch_idx: int) -> Tensor:
        profiles, items = batch
        nodes = self.encoder()
        item_nodes = self.item_nodes.to(nodes.device)
        drawn = torch.randint(len(self.warm), (self.objective.num_negatives,))
        negatives = self.warm[drawn]
        p = nodes[self.profile_nodes.to(nodes.device)[profiles]]  # [B, d]
        positive = (p * nodes[item_nodes[items]]).sum(dim=1)  # [B]
        negative = p @ nodes[item_nodes[negatives.to(nodes.device)]].T  # [B, num_negatives]
        known = self._known(negatives).to(nodes.device)[profiles]
        loss = self._loss(positive, negative.masked_fill(known, float("-inf")))
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=len(profiles))
        return loss

    def _known(self, negatives: Tensor) -> Tensor:
        """Which profiles have which of the drawn items. Shape ``[P, num_negatives]``, bool."""
        starts, ends = self.owner_ptr[negatives], self.owner_ptr[negatives + 1]
        counts = ends - starts
        column = torch.repeat_interleave(torch.arange(len(negatives)), counts)
        first = torch.repeat_interleave(starts - (counts.cumsum(0) - counts), counts)
        owners = self.owners[first + torch.arange(len(column))]
        known = torch.zeros(len(self.profile_nodes), len(negatives), dtype=torch.bool)
        known[owners, column] = True
        return known

    def _loss(self, positive: Tensor, negative: Tensor) -> Tensor:
        positive, negative = (s / self.objective.temperature for s in (positive, negative))
        if self.objective.loss == "bpr":
            gap = functional.softplus(negative - positive[:, None])
            return gap.sum() / torch.isfinite(negative).sum().clamp(min=1)
        logits = torch.cat([positive[:, None], negative], dim=1)
        target = torch.zeros(len(logits), dtype=torch.int64, device=logits.device)
        return functional.cross_entropy(logits, target)

    def validation_step(self, batch: tuple[Tensor, ...], batch_idx: int) -> None:
        profiles, items, _ = self.vectors()
        self.log(_MONITOR, self.validate(profiles, items), batch_size=1, prog_bar=True)

    @torch.no_grad()
    def vectors(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Profile, item and node vectors of the current weights, as float32 arrays."""
        was_training = self.encoder.training
        self.encoder.eval()
        nodes = self.encoder().float().cpu()
        self.encoder.train(was_training)
        profiles, items = nodes[self.profile_nodes], nodes[self.item_nodes]
        return profiles.numpy(), items.numpy(), nodes.numpy()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(
            self.parameters(), lr=self.objective.lr, weight_decay=self.objective.weight_decay
        )


def fit(
    module: GraphRecommender,
    train: sparse.csr_matrix,
    seed: int,
    trainer: dict[str, object],
    logger: Logger | None = None,
) -> Embeddings:
    """Train until validation stops getting better; return the vectors of the best epoch.

    Args:
        train: training pairs ``[num_profiles, num_items]``.
        seed: of batch order; initial weights are the caller's.
        trainer: keyword arguments of ``lightning.Trainer`` that describe the hardware.
    """
    objective = module.objective
    with tempfile.TemporaryDirectory() as folder:
        keep_best = ModelCheckpoint(
            folder,
            monitor=_MONITOR,
            mode="max",
            save_weights_only=True,
            enable_version_counter=False,
        )
        stop = EarlyStopping(_MONITOR, mode="max", patience=objective.patience)
        run = lightning.Trainer(
            max_epochs=objective.num_epochs,
            check_val_every_n_epoch=min(objective.validate_every, objective.num_epochs),
            num_sanity_val_steps=0,
            callbacks=[keep_best, stop],
            logger=logger or False,
            log_every_n_steps=1,
            enable_model_summary=False,
            **trainer,  # type: ignore[arg-type]
        )
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
        run.fit(module, _pair_loader(train, objective.batches_per_epoch, seed), _once())
        best = torch.load(Path(keep_best.best_model_path), weights_only=True)
        module.load_state_dict(best["state_dict"])
    profiles, items, nodes = module.vectors()
    score = float(keep_best.best_model_score or 0.0)
    log.info("gnn: best epoch %d, validation %.4f", best["epoch"], score)
    return Embeddings(profiles, items, nodes, int(best["epoch"]), score)


def _pair_loader(
    train: sparse.csr_matrix, num_batches: int, seed: int
) -> DataLoader[tuple[Tensor, ...]]:
    """Shuffled batches of (profile_idx, item_idx), each gathered by one index."""
    pairs = train.tocoo()
    data = TensorDataset(
        torch.from_numpy(pairs.row.astype(np.int64)), torch.from_numpy(pairs.col.astype(np.int64))
    )
    order = RandomSampler(data, generator=torch.Generator().manual_seed(seed))
    batch_size = max(1, math.ceil(len(data) / num_batches))
    batches = BatchSampler(order, batch_size, drop_last=False)
    return DataLoader(data, sampler=batches, batch_size=None)


def _once() -> DataLoader[tuple[Tensor, ...]]:
    """A loader of one batch: validation is one pass over all profiles, done by the module."""
    return DataLoader(TensorDataset(torch.zeros(1)), batch_size=1)
