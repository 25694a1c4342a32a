"""What a request may cost, over all models that may answer it: the one that was asked for and its fall-backs."""

from collections.abc import Iterable, Mapping

import msgspec
from msgspec.structs import replace

from edge.lookup.catalogue import Model
from edge.upstream.candidates import Candidate
from edge.v1.bounds import Bounds
from edge.v1.endpoints import Question
from edge.v1.max_cost import capped


class Offers(msgspec.Struct, frozen=True):
    """`models` begin with the one that was asked for; `bounds` are by public name."""

    models: tuple[Model, ...]
    bounds: Mapping[str, Bounds]
    wanted_tokens: int
    """The output limit of each answer that was asked for, before money lowered it."""

    @property
    def asked(self) -> Bounds:
        """The bounds at the model that was asked for."""
        return self.bounds[self.models[0].public_name]

    @property
    def full_nanos(self) -> int:
        """What is held for the whole of it, at the dearest of the models."""
        return max(self.bounds[model.public_name].full_nanos(model) for model in self.models)

    @property
    def least_nanos(self) -> int:
        """What the least useful answer costs, at the dearest of the models."""
        return max(self.bounds[model.public_name].least_nanos(model) for model in self.models)

    def within(self, max_cost_nanos: int) -> "Offers":
        """The offers of which none costs more. EdgeError `max_cost_too_low`."""
        bounds = {
            model.public_name: capped(self.bounds[model.public_name], model, max_cost_nanos) for model in self.models
        }
        return replace(self, bounds=bounds)


def offers(question: Question, model: Model, others: Iterable[Candidate]) -> Offers:
    """What a request costs at its model, and at the models of the other candidates. EdgeError as `bound`."""
    asked = question.bound(model)
    models, bounds = [model], {model.public_name: asked}
    for candidate in others:
        if candidate.model.public_name not in bounds:
            models.append(candidate.model)
            bounds[candidate.model.public_name] = question.bound(candidate.model)
    return Offers(tuple(models), bounds, asked.limit_tokens)
