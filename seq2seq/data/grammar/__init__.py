"""The embedded corpus: English-German sentence pairs with their gold word alignment, from a grammar written by us.

The words and the weights of the rules are data (`data/grammar/*.yaml`); the rules are here, from the small to the large:
morphology → lexicon → nominal → clauses → sentences → corpus.

Every German choice can be told from the English sentence (there is one German reading of each), but not always from the
word alone: the gender of "it" hangs on its antecedent in another clause, "to run" on its object, "trunk" on whose it is.

What the gold alignment links, from English to German:
content word to content word; article to article ("im" to both "in" and "the"); every word of a particle or reflexive verb
to every German part of it ("gets up" to "steht" and "auf", "hurries" to "beeilt" and "sich"); "do" to the verb it helps;
auxiliary and modal to theirs, "to" to the infinitive and its "zu"; "not" to "nicht" or "kein" (which also has "a");
"of" to the word that shows the genitive; full stops, and commas and semicolons where both sides have one. German commas
without a counterpart have no link.
"""

from seq2seq.data.grammar.corpus import corpus, fingerprint, sentence
from seq2seq.data.grammar.sentences import AlignedPair, words

__all__ = ["AlignedPair", "corpus", "fingerprint", "sentence", "words"]
