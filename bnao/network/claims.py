"""Published cells' claims beside what is counted in the same setting."""

from __future__ import annotations

from attrs import frozen

from bnao.config.settings import NetworkConfig
from bnao.network.mobile import MobileNetwork, Trainable
from bnao.network.size import count_multiply_adds, count_parameters
from bnao.space.zoo import Claim, Published, zoo


@frozen
class Counted:
    """A claim beside what is counted.

    Attributes:
        claim: what was published; None where there is no claim, and the cell's CIFAR-10 network is counted.
        network: what is counted; None where it is not known or the cell cannot be expressed.
        parameters: without the auxiliary head; None likewise.
        multiply_adds: of one image; None likewise.
    """

    claim: Claim | None
    network: NetworkConfig | None
    parameters: int | None
    multiply_adds: int | None

    @property
    def agrees(self) -> bool | None:
        """Whether the count rounds to the claim (tenths of a million below 100 M); None where one is missing.

        >>> from bnao.space.zoo import published_cell
        >>> [each.agrees for each in count_claims(published_cell("NAONet-V2"))]
        [False, None, None]
        """
        if self.claim is None or self.claim.parameters is None or self.parameters is None:
            return None
        unit = 1 if self.claim.parameters >= 100 else 0.1
        return abs(self.parameters / 1e6 - self.claim.parameters) <= unit / 2


def claim_about(genotype: Trainable, network: NetworkConfig) -> tuple[str, Claim | None] | None:
    """Return the name of what is published, and what was claimed of it on such images; None if it is not published.

    Among several claims that of a network of the same channels and cells is taken, else the first.

    >>> from bnao.space.zoo import published_cell
    >>> name, claim = claim_about(published_cell("DARTS_V2").genotype, NetworkConfig(channels=8, cells=1))
    >>> name, claim.error, claim.parameters
    ('DARTS_V2', 2.63, 3.3)
    """
    data = "imagenet" if network.network == "imagenet" else "cifar10"
    if isinstance(genotype, MobileNetwork):
        return genotype.name, genotype.claim if data == genotype.claim.data else None
    for entry in zoo():
        if entry.genotype == genotype:
            claims = [claim for claim in entry.claims if claim.data == data]
            same = [claim for claim in claims if (claim.channels, claim.cells) == (network.channels, network.cells)]
            return entry.name, next(iter([*same, *claims]), None)
    return None


def count_claims(entry: Published) -> list[Counted]:
    """Return each claim of a published cell beside its network's count; its CIFAR-10 network, if none is about that.

    >>> from bnao.space.zoo import published_cell
    >>> [(each.parameters, each.agrees) for each in count_claims(published_cell("DARTS_V2"))]
    [(3349342, True), (3349342, False), (4718752, True)]
    """
    claims: list[Claim | None] = [*entry.claims]
    if not any(entry.network(claim) == entry.network() for claim in entry.claims):
        claims.append(None)
    result = []
    for claim in claims:
        network = entry.network(claim)
        if network is None or entry.genotype is None:
            result.append(Counted(claim, None, None, None))
        else:
            weights, products = count_parameters(entry.genotype, network), count_multiply_adds(entry.genotype, network)
            result.append(Counted(claim, network, weights, products))
    return result
