"""Graph optimizers: the error goes when they are off, and comes back with one of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from parity.artifacts import Array
from parity.diagnosis.budget import difference
from parity.diagnosis.runtime_leg.backend import LEVELS, PRODUCTION, UNOPTIMIZED, Backend, How, epsilon
from parity.records.jobs import Optimization

# As ONNX Runtime names them, about in the order in which they run (core/optimizer/graph_transformer_utils.cc,
# and the `Name()` of every rule). A name that a version does not know disables nothing.
OPTIMIZERS = (
    "EliminateIdentity",
    "EliminateSlice",
    "UnsqueezeElimination",
    "EliminateDropout",
    "ExpandElimination",
    "CastElimination",
    "CastChainElimination",
    "PreShapeNodeElimination",
    "NoopElimination",
    "DivMulFusion",
    "FuseReluClip",
    "GemmSumFusion",
    "GemmTransposeFusion",
    "NotWhereFusion",
    "ConvAddFusion",
    "ConvMulFusion",
    "ConvBNFusion",
    "Pad_Fusion",
    "MatMul_BatchNormalization_Fusion",
    "LabelEncoderFusion",
    "DoubleQDQPairsRemover",
    "ConstantSharing",
    "CommonSubexpressionElimination",
    "ConstantFolding",
    "ConstantFoldingDQ",
    "MatMulAddFusion",
    "ReshapeFusion",
    "FreeDimensionOverrideTransformer",
    "GeluFusion",
    "GeluFusionL1",
    "LayerNormFusion",
    "LayerNormFusionL1",
    "QDQPropagationTransformer",
    "WeightBiasQuantization",
    "EnsureUniqueDQForNodeUnit",
    "TransposeOptimizer",
    "ClipQuantRewrite",
    "ReluQuantRewrite",
    "TransposeOptimizer_CPUExecutionProvider",
    "QDQS8ToU8Transformer",
    "QDQSelectorActionTransformer",
    "GemmActivationFusion",
    "MatMulActivationFusion",
    "MatMulIntegerToFloatFusion",
    "DynamicQuantizeMatMulFusion",
    "ConvActivationFusion",
    "GeluFusionL2",
    "LayerNormFusionL2",
    "SimplifiedLayerNormFusion",
    "AttentionFusion",
    "EmbedLayerNormFusion",
    "GatherSliceToSplitFusion",
    "GatherToSplitFusion",
    "GatherToSliceFusion",
    "SliceConcatToSpaceToDepthFusion",
    "MatmulTransposeFusion",
    "BiasGeluFusion",
    "GroupQueryAttentionPreNormFusion",
    "GroupQueryAttentionFusion",
    "SkipLayerNormFusion",
    "BiasSkipLayerNormFusion",
    "FastGeluFusion",
    "QuickGeluFusion",
    "BiasSoftmaxFusion",
    "BiasDropoutFusion",
    "MatMulScaleFusion",
    "DQMatMulNBitsFusion",
    "MatMulNBitsMlpFusion",
    "MatMulNBitsQkvFusion",
    "GeluApproximation",
    "QDQFinalCleanupTransformer",
    "NchwcTransformer",
    "NhwcTransformer",
    "ConvAddActivationFusion",
    "Avx2WeightS8ToU8Transformer",
    "FuseFp16InitializerToFp32NodeTransformer",
    "CastFloat16Transformer",
    "RemoveDuplicateCastTransformer",
)

_VANISHES = 0.5  # share of the error from which on an optimizer is at fault
_FACTOR = 8.0  # that the error falls by: an honest fusion sums in another order, and is off by as much
_ULPS = 64.0  # of the largest element: less is rounding, whatever becomes of it
_TRIALS = 60  # sessions that a search opens at most


@dataclass(frozen=True)
class OptimizerFault:
    """The error of an output that graph optimization makes.

    Args:
        share: of the error that is gone without optimization.
        level: the lowest that has the error.
        names: the fewest optimizers found without which it is gone; empty where they can't be told apart.
    """

    share: float
    level: Optimization
    names: tuple[str, ...]

    @property
    def mended(self) -> How:
        """How a session is opened that does not have the error."""
        return How(disabled=frozenset(self.names)) if self.names else UNOPTIMIZED


class Trials:
    """Runs of a file, opened one way and another; what each way gives is told by its errors alone.

    Args:
        exact: the outputs in float64.
    """

    def __init__(
        self, backend: Backend, path: str, feeds: Mapping[str, Array], exact: Mapping[str, Array]
    ) -> None:
        self.backend, self.path, self.feeds = backend, path, feeds
        self._exact = exact
        self._done: dict[How, dict[str, float]] = {}

    @property
    def count(self) -> int:
        """Sessions that were opened."""
        return len(self._done)

    def exact(self, output: str) -> Array:
        """An output in float64."""
        return self._exact[output]

    def error(self, how: How, output: str) -> float:
        """Greatest absolute error of an output, infinite where it is NaN and should not be.

        Raises:
            Unable: the runtime fails.
        """
        if how not in self._done:
            found = self.backend.open(self.path, how)(self.feeds)
            self._done[how] = {name: error_of(found[name], exact) for name, exact in self._exact.items()}
        return self._done[how][output]

    def resolution(self, output: str, dtype: np.dtype[np.generic]) -> float:
        """What rounding alone may do to an output: some ULPs of its largest element."""
        exact = self._exact[output]
        finite = exact[np.isfinite(exact)]
        return _ULPS * (epsilon(dtype) or 0.0) * float(np.abs(finite).max(initial=0.0))


def error_of(found: Array, exact: Array) -> float:
    """Greatest absolute difference; infinite where the two don't agree on what is finite."""
    measured = difference(found, exact)
    return math.inf if measured.reason else measured.greatest


def find_optimizer(trials: Trials, output: str, found: Array) -> OptimizerFault | None:
    """The optimizer that an output's error comes from; None when it stays without optimization.

    Args:
        trials: on the inputs of the production run.
        output: that is off.
        found: what the production run gave for it.

    Raises:
        Unable: the runtime can't run the file without optimization.
    """
    error = error_of(found, trials.exact(output))
    if trials.backend.optimization == "disable_all" or not error > trials.resolution(output, found.dtype):
        return None
    left = trials.error(UNOPTIMIZED, output)
    share = 1.0 if math.isinf(error) and math.isfinite(left) else 1.0 - left / error
    # The second condition tells a defect from rounding that fell another way.
    if not (share >= _VANISHES and error >= _FACTOR * left):
        return None

    def mends(how: How) -> bool:
        return trials.error(how, output) <= (1.0 - _VANISHES) * error

    if mends(PRODUCTION):
        return None  # it does not repeat: no optimizer's doing
    return OptimizerFault(share, _lowest_level(trials.backend.optimization, mends), _fewest(trials, mends))


def _lowest_level(production: Optimization, mends: Callable[[How], bool]) -> Optimization:
    below = LEVELS[1 : LEVELS.index(production)]
    return next((level for level in below if not mends(How(optimization=level))), production)


def _fewest(trials: Trials, mends: Callable[[How], bool]) -> tuple[str, ...]:
    """Bisection that also finds two that can each do it: halves, then quarters ... are enabled again.

    The first go first: where one only prepares what another changes, the one that changes it is left.
    """

    def without(names: Sequence[str]) -> bool:
        return mends(How(disabled=frozenset(names)))

    kept = list(OPTIMIZERS)
    if not without(kept):
        return ()
    size = len(kept) // 2
    while size:
        start = 0
        while start < len(kept):
            rest = kept[:start] + kept[start + size :]
            if trials.count >= _TRIALS:
                return ()
            if rest and without(rest):
                kept = rest
            else:
                start += size
        size //= 2
    return tuple(kept)
