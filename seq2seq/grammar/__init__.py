"""The embedded corpus: English-German sentence pairs with their gold word alignment, from a grammar written by us.

The words and the weights of the rules are data (`data/grammar/*.yaml`); the rules are here, from the small to the
large: morphology → entries → lexicon → core → nominal → predicates → planning → clauses → relatives → sentences →
splits.

Every German choice can be told from the English sentence (there is one German reading of each), but not always from the
word alone: the gender of "it" hangs on its antecedent in another clause ("it" is the subject of the clause before, or
its object where that subject is no "it"), "to run" on its object, "trunk" on whose it is, "hard" on its noun.

What the gold alignment links: content word to content word; article to article ("im" to both "in" and "the"); every
word of a particle or reflexive verb to every German part of it ("gets up" to "steht" and "auf", "hurries" to "beeilt"
and "sich"); "did" to the finite verb, auxiliary and modal to theirs, "to" to the infinitive and its "zu"; "not" to
"nicht" or "kein" (which also has "a"); "of", and "to" before a receiver, to the word that shows the case; full stops,
and commas and semicolons where both sides have one. German commas without a counterpart have no link.
"""

from seq2seq.grammar.sentences import AlignedPair, words
from seq2seq.grammar.splits import corpus, fingerprint, sentence

__all__ = ["AlignedPair", "corpus", "fingerprint", "sentence", "words"]
