"""A row of out-of-fold predictions, right in every task, and changes that make it wrong."""

from __future__ import annotations

TRUTH = {"true_mask": "wear", "true_gender": "male", "true_race": "Asian", "true_age_low": 40.0, "true_age_high": 40.0}
RIGHT = {"mask": "wear", "gender": "male", "age_band": "30-59", "age": 41.0, "age_low": 33.0, "age_high": 50.0} | {
    "p_wear": 0.9,
    "p_incorrect": 0.06,
    "p_normal": 0.04,
    "p_male": 0.8,
    "p_female": 0.2,
    "p_lt30": 0.1,
    "p_30_59": 0.7,
    "p_ge60": 0.2,
}
OLD = {"true_age_low": 62.0, "true_age_high": 62.0}
WRONG_MASK = {"mask": "incorrect", "p_incorrect": 0.55}
WRONG_GENDER = {"gender": "female", "p_female": 0.99}
