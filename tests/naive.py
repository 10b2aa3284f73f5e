"""Slow, obvious twins of the kernels: one definition each, written from the feature table."""

import itertools
import math

import numpy as np

ROWS, COLS = 24, 32


def clean(image):
    out = np.full(image.shape, np.nan)
    for r in range(image.shape[0]):
        for c in range(image.shape[1]):
            value = float(image[r, c])
            if math.isnan(value) or value < -100.0 or value > 1000.0:
                continue
            out[r, c] = min(value, 300.0)
    return out


def reduce(full):
    step_r, step_c = full.shape[0] // ROWS, full.shape[1] // COLS
    out = np.full((ROWS, COLS), np.nan)
    for r in range(ROWS):
        for c in range(COLS):
            block = full[r * step_r : (r + 1) * step_r, c * step_c : (c + 1) * step_c]
            valid = [v for v in block.ravel().tolist() if not math.isnan(v)]
            if valid:
                out[r, c] = math.fsum(valid) / len(valid)
    return out


def valid_values(image):
    return [v for v in image.ravel().tolist() if not math.isnan(v)]


def mean_std(values):
    if not values:
        return math.nan, math.nan
    mean = math.fsum(values) / len(values)
    return mean, math.sqrt(math.fsum((v - mean) ** 2 for v in values) / len(values))


def hot_mask(image):
    values = valid_values(image)
    limit = max(40.0, float(np.median(values)) + 10.0) if values else math.inf
    return np.array([[v >= limit for v in row] for row in image.tolist()])


def largest_blob(mask):
    left = {(r, c) for r, c in zip(*np.nonzero(mask), strict=True)}
    best = 0
    while left:
        front, size = [left.pop()], 0
        while front:
            r, c = front.pop()
            size += 1
            for near in [(r + i, c + j) for i in (-1, 0, 1) for j in (-1, 0, 1)]:
                if near in left:
                    left.remove(near)
                    front.append(near)
        best = max(best, size)
    return best


def gradient(image):
    padded = np.pad(image, 1, mode="symmetric")
    sobel_x = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]) / 8.0
    magnitudes = []
    for r in range(image.shape[0]):
        for c in range(image.shape[1]):
            window = padded[r : r + 3, c : c + 3]
            if np.isnan(window).any():
                continue
            magnitudes.append(math.hypot((window * sobel_x).sum(), (window * sobel_x.T).sum()))
    return mean_std(magnitudes)


def difference(before, after):
    return mean_std(valid_values(np.abs(after - before)))


def flow(before, after):
    """Dense Lucas-Kanade: 5x5 window, regularisation 6.25 (°C/px)², central differences."""
    middle = np.pad((before + after) / 2.0, 1, mode="edge")
    gx = (middle[1:-1, 2:] - middle[1:-1, :-2]) / 2.0
    gy = (middle[2:, 1:-1] - middle[:-2, 1:-1]) / 2.0
    gt = after - before
    magnitudes = []
    for r in range(after.shape[0]):
        for c in range(after.shape[1]):
            if math.isnan(gt[r, c]):
                continue
            a = np.zeros((2, 2))
            b = np.zeros(2)
            for i in range(max(r - 2, 0), min(r + 3, after.shape[0])):
                for j in range(max(c - 2, 0), min(c + 3, after.shape[1])):
                    g = np.array([gx[i, j], gy[i, j]])
                    if np.isnan(g).any() or math.isnan(gt[i, j]):
                        continue
                    a += np.outer(g, g)
                    b += g * gt[i, j]
            magnitudes.append(float(np.linalg.norm(np.linalg.solve(a + 6.25 * np.eye(2), -b))))
    return mean_std(magnitudes)


def image_features(raw, raw_before=None):
    """Features 1 to 13 of an image (°C) of shape (24, 32) or (120, 160)."""
    full = clean(raw)
    small = reduce(full)
    values = valid_values(small)
    if not values:
        return [math.nan] * 13
    mask = hot_mask(small)
    before = reduce(clean(raw_before)) if raw_before is not None else np.full(small.shape, np.nan)
    none = (math.nan, math.nan)
    changed = bool(valid_values(before)) and not np.isnan(before + small).all()
    hottest = sorted(valid_values(full), reverse=True)[:8]
    return [
        *mean_std(values),
        hottest[0],
        float(np.percentile(values, 95)),
        100.0 * int(mask.sum()) / len(values),
        100.0 * largest_blob(mask) / len(values),
        *gradient(small),
        *(difference(before, small) if changed else none),
        *(flow(before, small) if changed else none),
        math.fsum(hottest) / len(hottest),
    ]


def theil_sen(points):
    """Median slope of all pairs of (second, value)."""
    slopes = [(b[1] - a[1]) / (b[0] - a[0]) for i, a in enumerate(points) for b in points[i + 1 :]]
    return float(np.median(slopes)) if slopes else math.nan


def second_means(samples):
    """One-second means of (t_ns, value) samples, the last and unfinished second left out."""
    seconds = {}
    for t_ns, value in samples:
        bucket = seconds.setdefault(t_ns // 1_000_000_000, [])
        if not math.isnan(value):
            bucket.append(value)
    newest = max(seconds)
    return newest, [
        (s, math.fsum(v) / len(v)) for s, v in sorted(seconds.items()) if v and s != newest
    ]


def slope(samples):
    newest, means = second_means(samples)
    window = [point for point in means if point[0] >= newest - 30]
    return theil_sen(window) if len(window) >= 10 else math.nan


def baseline(samples):
    newest, means = second_means(samples)
    window = [value for second, value in means if second >= newest - 600]
    return float(np.median(window)) if len(window) >= 10 else math.nan


def gas_index(counts, clean_air):
    """400 + 100·Σ w·ln(R0/Rs) for counts of (no2, c2h5oh, voc, co) of a voltage divider."""

    def resistance(count):
        return (1023.0 - count) / count

    weights = (-0.1, 0.15, 0.25, 0.5)
    total = 0.0
    for weight, count, base in zip(weights, counts, clean_air, strict=True):
        total += weight * math.log(resistance(base) / resistance(count))
    return 400.0 + 100.0 * total


def expected_leaf(tree, row, known, node=0):
    """What a tree (xgboost's JSON) gives when only the columns in `known` are known of a row."""
    left, right = tree["left_children"][node], tree["right_children"][node]
    if left == -1:
        return tree["split_conditions"][node]
    column = tree["split_indices"][node]
    if column in known:
        below = row[column] < np.float32(tree["split_conditions"][node])
        goes_left = bool(tree["default_left"][node]) if math.isnan(row[column]) else below
        return expected_leaf(tree, row, known, left if goes_left else right)
    cover = tree["sum_hessian"]
    weighted = [cover[child] * expected_leaf(tree, row, known, child) for child in (left, right)]
    return math.fsum(weighted) / (cover[left] + cover[right])


def contributions(trees, row, base):
    """Shapley values of the columns by their definition, every subset at a time; then the rest."""
    used = set()
    for tree in trees:
        splits = zip(tree["split_indices"], tree["left_children"], strict=True)
        used |= {column for column, left in splits if left != -1}
    worth = {}
    for size in range(len(used) + 1):
        for known in map(frozenset, itertools.combinations(sorted(used), size)):
            worth[known] = math.fsum(expected_leaf(tree, row, known) for tree in trees)
    out = [0.0] * len(row) + [base + worth[frozenset()]]
    for column in used:
        out[column] = math.fsum(
            (worth[known | {column}] - worth[known])
            / (len(used) * math.comb(len(used) - 1, len(known)))
            for known in worth
            if column not in known
        )
    return out
