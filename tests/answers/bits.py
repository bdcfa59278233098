# %% right: the solution
def bits_per_weight(block, group):
    return 4 + 8 / block + 32 / (block * group)


# %% right: the group as a whole
def bits_per_weight(block, group):
    weights = block * group
    return (4 * weights + 8 * group + 32) / weights


# %% right: a 0-d tensor of float32
def bits_per_weight(block, group):
    return torch.tensor(4.0) + torch.tensor(8.0) / block + torch.tensor(32.0) / (block * group)


# %% right: one element in brackets
def bits_per_weight(block, group):
    return torch.tensor([4 + 8 / block + 32 / (block * group)])


# %% right: np.float32
def bits_per_weight(block, group):
    return np.float32(4 + 8 / block + 32 / (block * group))


# %% right: a list of one
def bits_per_weight(block, group):
    return [4 + 8 / block + 32 / block / group]


# %% right: an exact fraction
def bits_per_weight(block, group):
    from fractions import Fraction

    return 4 + Fraction(8, block) + Fraction(32, block * group)


# %% right: a Decimal
def bits_per_weight(block, group):
    from decimal import Decimal

    return Decimal(4) + Decimal(8) / block + Decimal(32) / (block * group)


# %% right: a lambda
bits_per_weight = lambda b, g: 4 + (8 + 32 / g) / b


# %% right: global constants
CODE, CONSTANT, SECOND = 4, 8, 32


def bits_per_weight(block, group):
    return CODE + (CONSTANT + SECOND / group) / block


# %% right: a dataclass on the way
from dataclasses import dataclass


@dataclass
class Group:
    block: int
    group: int

    def bits(self):
        return 4 * self.block * self.group + 8 * self.group + 32


def bits_per_weight(block, group):
    g = Group(block, group)
    return g.bits() / (g.block * g.group)


# %% right: counted one by one
def bits_per_weight(block, group):
    bits = 0
    for _ in range(group):
        for _ in range(block):
            bits += 4
        bits += 8
    bits += 32
    return bits / block / group


# %% right: bytes, turned into bits at the end
def bits_per_weight(block, group):
    size = block * group / 2 + group + 4
    return 8 * size / (block * group)


# %% right: type hints and a default
def bits_per_weight(block: int = 64, group: int = 256) -> float:
    overhead: float = 8 / block + 32 / (block * group)
    return 4.0 + overhead


# %% bare: the codes alone
def bits_per_weight(block, group):
    return 4


# %% single: no double quantisation
def bits_per_weight(block, group):
    return 4 + 32 / block


# %% no-group: the second constant forgotten
def bits_per_weight(block, group):
    return 4 + 8 / block


# %% per-group: spread over `group` weights
def bits_per_weight(block, group):
    return 4 + 8 / block + 32 / group


# %% both-wide: first constants in 32 bits
def bits_per_weight(block, group):
    return 4 + 32 / block + 32 / (block * group)


# %% bytes: eight times too little
def bits_per_weight(block, group):
    return (4 + 8 / block + 32 / (block * group)) / 8


# %% added: both over the block
def bits_per_weight(block, group):
    return 4 + (8 + 32) / block


# %% no-codes: the constants alone
def bits_per_weight(block, group):
    return 8 / block + 32 / (block * group)


# %% bytes+no-group: bytes, and the second constant forgotten
def bits_per_weight(block, group):
    return 0.5 + 1 / block


# %% both-wide+per-group: two slips
def bits_per_weight(block, group):
    return 4 + 32 / block + 32 / group


# %% bytes+single: bytes without double quantisation
def bits_per_weight(block, group):
    return (4 + 32 / block) / 8


# %% unknown: the total of a group
def bits_per_weight(block, group):
    return 4 * block * group + 8 * group + 32


# %% unknown: 16-bit constants
def bits_per_weight(block, group):
    return 4 + 8 / block + 16 / (block * group)


# %% unknown: divided by the sum
def bits_per_weight(block, group):
    return 4 + 8 / block + 32 / (block + group)


# %% bare: whole numbers
def bits_per_weight(block, group):
    return 4 + 8 // block + 32 // (block * group)


# %% bare: rounded
def bits_per_weight(block, group):
    return round(4 + 32 / (block * group) ** 3)


# %% no-return: forgotten
def bits_per_weight(block, group):
    bits = 4 + 8 / block + 32 / (block * group)


# %% shape: the parts, not their sum
def bits_per_weight(block, group):
    return 4, 8 / block, 32 / (block * group)


# %% arguments: one argument
def bits_per_weight(block):
    return 4 + 8 / block


# %% type: text
def bits_per_weight(block, group):
    return f"{4 + 8 / block + 32 / (block * group)} bits"


# %% endless: a loop without an end
def bits_per_weight(block, group):
    bits = 4
    while bits > 0:
        bits += 8 / block
    return bits


# %% endless: a loop that swallows everything
def bits_per_weight(block, group):
    while True:
        try:
            bits = 4 + 8 / block
        except:
            pass
