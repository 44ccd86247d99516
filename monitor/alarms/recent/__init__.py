"""What the last beats of a source say beside its verdicts: whether the model fits, poor signal, frequent ectopy.

Each is a function on columns of n beats of k sources in any order in which the beats of one source stand as they came:

    columns, carry = rule(carry, source, …)   # source (n,): which of the k sources; carry: (k,) columns

The carry is what is remembered of the sources, and is stored with them. However the beats are cut into batches, the
columns and the last carry are the same.
"""
