"""What a reader moves or answers: explorers, predictions, and the map of the axes that every chapter opens with.

An explorer's `State` declares its controls, a pure `compute` asks the library for the numbers and puts them in a
sentence, a small JavaScript view draws them, and `explorer.py` joins the three. Only it and `predict.py` know widgets.
"""
