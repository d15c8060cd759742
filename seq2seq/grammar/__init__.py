"""The embedded corpus: English-German sentence pairs with their gold word alignment, from a grammar written by us.

The words and the weights of the rules are data (`data/grammar/*.yaml`). The rules are here, each module built on those
before it: morphology, entries, lexicon, discourse, nominal, predicates, planning, clauses, relatives, sentences,
splits.

The English sentence determines the German one, but a German word may depend on more than its English word: the gender
of "it" on its antecedent (the subject of the clause before, or its object if that subject is not "it"), the verb for
"to run" on its object, the noun for "trunk" on its possessor, the adjective for "hard" on its noun.

The gold alignment links content words; articles ("im" to both "in" and "the"); every word of a particle verb or a
reflexive verb to every German part of it ("gets up" to "steht" and "auf", "hurries" to "beeilt" and "sich"); "did" to
the finite verb; auxiliaries and modals to theirs; "to" to the infinitive and its "zu"; "not" to "nicht" or "kein"
(which "a" is linked to as well); "of", and "to" before a receiver, to the German word that shows the case; full stops;
and commas and semicolons that both sides have. German commas without a counterpart have no link.
"""

from seq2seq.grammar.sentences import AlignedPair, sentence, words
from seq2seq.grammar.splits import corpus, fingerprint

__all__ = ["AlignedPair", "corpus", "fingerprint", "sentence", "words"]
