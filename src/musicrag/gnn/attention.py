r"""Softmax attention over the incoming edges of each node, without materialised messages.

For head ``h`` and edge ``e = (j \to i)`` of relation ``r`` with weight ``w``:

.. math::
    \ell_e = \mathrm{LeakyReLU}(s_j + t_i + c_r + u w), \quad
    \alpha_e = \mathrm{softmax}_{e \in N(i)} \ell_e, \quad
    o_i = \sum_e \alpha_e v_j

Every node also attends to itself, with the mean of its incoming edge terms, as in PyG's
``GATConv``. Knows arrays, not parameters: those are the layer's. Kernels run on one thread and sum
in a fixed order, so that results repeat bit for bit.

Source: Veličković et al. 2018, equations 1 to 6.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from numba import njit
from torch import Tensor

from musicrag.types import BoolArray, FloatArray, IntArray

_SLOPE = 0.2
_FAST = {"reassoc", "contract", "nsz"}  # sums may use vector registers; still the same every time


@dataclass(frozen=True)
class Incoming:
    """Edges in the order of their receivers, and the way back to the order of their senders.

    Shapes:
        indptr, out_indptr ``[N + 1]``; sender, receiver, kind, weight ``[E]`` by receiver;
        outgoing ``[E]``: places in that order, sorted by sender.
    """

    indptr: IntArray
    sender: IntArray
    receiver: IntArray
    kind: IntArray
    weight: FloatArray
    out_indptr: IntArray
    outgoing: IntArray

    @classmethod
    def of(cls, edge_index: IntArray, kind: IntArray, weight: FloatArray, n: int) -> Incoming:
        """Sort the edges of a graph of ``n`` nodes; ``edge_index`` is ``[2, E]``, sender first."""
        order = np.argsort(edge_index[1], kind="stable")
        sender, receiver = edge_index[:, order]
        return cls(
            *(_starts(receiver, n), sender, receiver, kind[order], weight[order]),
            *(_starts(sender, n), np.argsort(sender, kind="stable")),
        )


def _starts(nodes: IntArray, n: int) -> IntArray:
    starts = np.zeros(n + 1, dtype=np.int64)
    np.cumsum(np.bincount(nodes, minlength=n), out=starts[1:])
    return starts


class Attend(torch.autograd.Function):
    """The formula above, with gradients for everything learned.

    Shapes:
        values ``[N, H, w]``; source, target ``[N, H]``; relation ``[R, H]``; unit ``[H]``;
        is_there bool ``[E]`` in the order of ``Incoming``, False for edges to leave out.
    """

    @staticmethod
    def forward(
        ctx: Any,
        values: Tensor,
        source: Tensor,
        target: Tensor,
        relation: Tensor,
        unit: Tensor,
        edges: Incoming,
        is_there: BoolArray,
    ) -> Tensor:
        rows, by_kind = _array(values), _array(relation)
        term = by_kind[edges.kind] + edges.weight[:, None] * _array(unit)  # [E, H]
        out, share, own, slope, own_slope = _attend(
            rows, _array(source), _array(target), term, edges.indptr, edges.sender, is_there
        )
        ctx.edges, ctx.is_there = edges, is_there
        ctx.saved = (rows, share, own, slope, own_slope, len(by_kind))
        return torch.from_numpy(out)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        values, share, own, slope, own_slope, num_relations = ctx.saved
        edges: Incoming = ctx.edges
        grad = _array(gradients[0])
        where = (edges.indptr, edges.sender, ctx.is_there)
        d_logit, d_own = _logit_gradients(grad, values, share, own, slope, own_slope, *where)
        d_values, d_source = _sender_gradients(
            grad, share, own, d_logit, edges.out_indptr, edges.outgoing, edges.receiver
        )
        d_source += d_own
        d_target = _segment_sums(d_logit, edges.indptr) + d_own
        d_term = d_logit + _shared_back(d_own, edges.indptr, edges.receiver, ctx.is_there)
        heads = range(d_term.shape[1])
        by_kind = [np.bincount(edges.kind, d_term[:, h], num_relations) for h in heads]
        d_unit = (d_term * edges.weight[:, None]).sum(axis=0)
        found = (d_values, d_source, d_target, np.stack(by_kind, axis=1), d_unit)
        return *(torch.from_numpy(np.asarray(part, dtype=np.float32)) for part in found), None, None


def _array(tensor: Tensor) -> FloatArray:
    array: FloatArray = np.ascontiguousarray(tensor.detach().numpy(), dtype=np.float32)
    return array


def _segment_sums(values: FloatArray, indptr: IntArray) -> npt.NDArray[np.float64]:
    """Sums over the rows between each two starts. Shapes ``[E, H] -> [N, H]``."""
    total = np.zeros((len(values) + 1, values.shape[1]))
    np.cumsum(values, axis=0, dtype=np.float64, out=total[1:])
    sums: npt.NDArray[np.float64] = total[indptr[1:]] - total[indptr[:-1]]
    return sums


def _shared_back(
    d_own: FloatArray, indptr: IntArray, receiver: IntArray, is_there: BoolArray
) -> FloatArray:
    """Gradient of the self-loops' terms, which are means over the incoming edges."""
    count = _segment_sums(is_there[:, None].astype(np.float32), indptr)
    mean = (d_own / np.maximum(count, 1.0))[receiver]
    back: FloatArray = (mean * is_there[:, None]).astype(np.float32)
    return back


@njit(cache=True, fastmath=_FAST)
def _attend(values, source, target, term, indptr, sender, is_there):  # type: ignore[no-untyped-def]
    """Outputs, attention of edges and of self-loops, and the slopes at their logits."""
    n, heads, width = values.shape
    out = np.zeros((n, heads * width), dtype=np.float32)
    share = np.zeros(term.shape, dtype=np.float32)
    slope = np.ones(term.shape, dtype=np.float32)
    own = np.zeros((n, heads), dtype=np.float32)
    own_slope = np.ones((n, heads), dtype=np.float32)
    for i in range(n):
        start, stop = indptr[i], indptr[i + 1]
        for h in range(heads):
            mean, count = 0.0, 0
            for e in range(start, stop):
                if is_there[e]:
                    mean += term[e, h]
                    count += 1
            logit = source[i, h] + target[i, h] + mean / max(count, 1)
            if logit < 0:
                logit *= _SLOPE
                own_slope[i, h] = _SLOPE
            own[i, h] = logit
            top = logit
            for e in range(start, stop):
                if is_there[e]:
                    logit = source[sender[e], h] + target[i, h] + term[e, h]
                    if logit < 0:
                        logit *= _SLOPE
                        slope[e, h] = _SLOPE
                    share[e, h] = logit
                    top = max(top, logit)
            own[i, h] = np.exp(own[i, h] - top)
            total = np.float64(own[i, h])
            for e in range(start, stop):
                if is_there[e]:
                    share[e, h] = np.exp(share[e, h] - top)
                    total += share[e, h]
            own[i, h] /= total
            for d in range(width):
                out[i, h * width + d] = own[i, h] * values[i, h, d]
            for e in range(start, stop):
                if is_there[e]:
                    share[e, h] /= total
                    j = sender[e]
                    for d in range(width):
                        out[i, h * width + d] += share[e, h] * values[j, h, d]
    return out, share, own, slope, own_slope


@njit(cache=True, fastmath=_FAST)
def _logit_gradients(  # type: ignore[no-untyped-def]
    grad, values, share, own, slope, own_slope, indptr, sender, is_there
):
    """Gradients of the logits of edges ``[E, H]`` and of self-loops ``[N, H]``."""
    n, heads, width = values.shape
    d_logit = np.zeros(share.shape, dtype=np.float32)
    d_own = np.zeros((n, heads), dtype=np.float32)
    for i in range(n):
        start, stop = indptr[i], indptr[i + 1]
        for h in range(heads):
            dot = np.float32(0.0)
            for d in range(width):
                dot += grad[i, h * width + d] * values[i, h, d]
            d_own[i, h] = dot
            mean = np.float64(own[i, h]) * dot
            for e in range(start, stop):
                if is_there[e]:
                    j = sender[e]
                    dot = np.float32(0.0)
                    for d in range(width):
                        dot += grad[i, h * width + d] * values[j, h, d]
                    d_logit[e, h] = dot
                    mean += share[e, h] * dot
            d_own[i, h] = own_slope[i, h] * own[i, h] * (d_own[i, h] - mean)
            for e in range(start, stop):
                if is_there[e]:
                    d_logit[e, h] = slope[e, h] * share[e, h] * (d_logit[e, h] - mean)
    return d_logit, d_own


@njit(cache=True, fastmath=_FAST)
def _sender_gradients(  # type: ignore[no-untyped-def]
    grad, share, own, d_logit, out_indptr, outgoing, receiver
):
    """Gradients of the values ``[N, H, w]`` and of the source terms ``[N, H]``, from edges."""
    n, heads = own.shape
    width = grad.shape[1] // heads
    d_values = np.zeros((n, heads, width), dtype=np.float32)
    d_source = np.zeros((n, heads), dtype=np.float32)
    for j in range(n):
        for h in range(heads):
            for d in range(width):
                d_values[j, h, d] = own[j, h] * grad[j, h * width + d]
        for place in range(out_indptr[j], out_indptr[j + 1]):
            e = outgoing[place]
            i = receiver[e]
            for h in range(heads):
                d_source[j, h] += d_logit[e, h]
                for d in range(width):
                    d_values[j, h, d] += share[e, h] * grad[i, h * width + d]
    return d_values, d_source
