"""Step 6: see what the network makes of two atoms, beside the Lennard-Jones formula.

python curves.py
"""

from pathlib import Path

from gnnformd.evaluation.figures.force_figures import force_curve_figure, save_figure
from gnnformd.evaluation.forces.curves import curves_to_dict, force_curves
from gnnformd.files import write_json
from gnnformd.model.files.model_file import load_model

model = "runs/argon/model.safetensors"
found = force_curves(load_model(model))
write_json(Path("runs/argon/curves.json"), curves_to_dict(model, found))
save_figure(force_curve_figure(found), Path("runs/argon/figures/curves.png"))
for curve in found:
    print(f"{curve.name}: rms error {100 * curve.relative_rms_error:.0f} %")
