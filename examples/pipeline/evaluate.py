"""Step 5: judge the network on a run that it has not seen.

python evaluate.py
"""

from pathlib import Path

from gnnformd.evaluation.forces.metrics import evaluate
from gnnformd.files import write_json
from gnnformd.model.files.model_file import load_model
from gnnformd.trajectory.packed.dataset import open_dataset

model = load_model("runs/argon/model.safetensors")
result = evaluate(model, [open_dataset(Path("data/argon-test"))]).to_dict()
write_json(Path("runs/argon/evaluate.json"), result)
force = result["datasets"][0]["force"]
print(f"mean absolute error {force['mae']:.3f} kcal/mol/angstrom, {100 * force['relative_l1']:.0f} % of the forces")
