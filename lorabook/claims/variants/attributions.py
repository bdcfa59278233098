"""Who wrote what, and other statements of texts that are not about what a variant computes: listed, with the reason."""

from lorabook.claims.unchecked import Unchecked

AUTHORS_AND_YEARS = Unchecked(
    statement="VeRA is by Kopiczko et al. 2024, AdaLoRA and LoRA-FA by Zhang et al. 2023, Delta-LoRA by Zi et al. "
    "2023, PiSSA by Meng et al. 2024, OLoRA by Büyükakyüz 2024.",
    source="teaching texts; the arXiv numbers 2310.11454, 2303.10512, 2308.03303, 2309.02411, 2404.02948, 2406.01775 "
    "(VeRA's preprint is of 2023, its conference of 2024)",
    reason="no computation settles who wrote a paper; each variant's file cites it with its number",
)
LOHA_BY_EDELMAN = Unchecked(
    statement="LoHa is by Edelman et al. 2024.",
    source="a teaching text; the Hadamard product of two products is FedPara's (Hyeon-Woo et al., 2108.06098), and "
    "its use as an adapter is LyCORIS' (2309.14859)",
    reason="no computation settles who wrote a paper; no paper by these authors with this method was found",
)
THE_TITLE_OF_O_LORA = Unchecked(
    statement="O-LoRA's paper is “Orthogonal Low-Rank Adaptation of Large Language Models”.",
    source="a teaching text; 2310.14152 is “Orthogonal Subspace Learning for Language Model Continual Learning”, and "
    "nearly the quoted title is OLoRA's, 2406.01775",
    reason="no computation settles a title",
)
USED_EVERYWHERE = Unchecked(
    statement="These variants appear often in papers and in production.",
    source="a teaching text",
    reason="a statement about the literature and about companies, with no number in it",
)
GLYPHS_IN_HEADINGS = Unchecked(
    statement="The headings of a text begin with the signs ð Ÿ š € and ð Ÿ ” ¸.",
    source="a teaching text: emoji in UTF-8 that were read as Windows-1252; read back the other way they are a "
    "rocket and an orange diamond",
    reason="a damaged file says nothing about LoRA; the text is not ours to ship, so a reader has nothing to decode",
)
