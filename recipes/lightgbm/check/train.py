"""Train small models with an installed `lightgbm` and compare what they predict with the truth."""

import os
import sys
import tempfile
from pathlib import Path

# Threads that wait by spinning take minutes on a machine that is busy with other builds. libgomp reads
# this once, when it is loaded.
os.environ["OMP_WAIT_POLICY"] = "passive"

import lightgbm
import numpy
import scipy.sparse

ROUNDS = 30
PARAMETERS = {"verbose": -1, "seed": 7, "num_threads": 2, "min_data_in_leaf": 5}


def expect(what, right, detail):
    if not right:
        sys.exit(f"{what}: {detail}")
    print(f"{what}: {detail}")


def data(rows=1200):
    random = numpy.random.default_rng(7)
    features = random.uniform(-1.0, 1.0, size=(rows, 6))
    return features, 3.0 * features[:, 0] + numpy.sin(4.0 * features[:, 1])


def check_regression(features, target):
    train = lightgbm.Dataset(features[:900], target[:900])
    model = lightgbm.train({**PARAMETERS, "objective": "regression"}, train, ROUNDS)
    error = float(numpy.mean((model.predict(features[900:]) - target[900:]) ** 2))
    spread = float(numpy.var(target[900:]))
    expect("regression", error < 0.1 * spread, f"error {error:.4f} of variance {spread:.4f}")
    return model


def check_classes_of_a_sparse_matrix(features, target):
    sparse = scipy.sparse.csr_matrix(numpy.where(abs(features) < 0.2, 0.0, features))
    labels = (target > 0).astype(int)
    train = lightgbm.Dataset(sparse[:900], labels[:900])
    model = lightgbm.train({**PARAMETERS, "objective": "binary"}, train, ROUNDS)
    right = float(numpy.mean((model.predict(sparse[900:]) > 0.5) == labels[900:]))
    expect("classes of a sparse matrix", right > 0.9, f"{right:.1%} right")


def check_saved_model(model, features):
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "model.txt")
        model.save_model(file)
        again = lightgbm.Booster(model_file=file)
    same = numpy.array_equal(model.predict(features), again.predict(features))
    expect("saved and loaded", same, "the predictions are the same")


rows, truth = data()
check_saved_model(check_regression(rows, truth), rows)
check_classes_of_a_sparse_matrix(rows, truth)
