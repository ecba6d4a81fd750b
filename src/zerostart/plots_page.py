"""The page behind `dvc plots`, with Vega inside: DVC's own page loads Vega from a network and stays empty without one.

`python -m zerostart.plots_page`, in the root of the repository, writes it again after an update of vl-convert-python.
"""

import vl_convert

from zerostart.errors import InputError, run_stage
from zerostart.outputs import output_file
from zerostart.vega import PAGE

# DVC's plots call `vegaEmbed(element, spec)`. The menu's link to the online editor would send the plot's data away.
VEGA_EMBED = 'window.vegaEmbed = (element, spec) => vegaEmbed(element, spec, {renderer: "svg", actions: {editor: false}});'

# The bundle stands in a function, so that its thousands of names stay apart from those of DVC's scripts (`spec`).
# DVC fills {refresh_tag} and {plot_divs}; it would put the addresses of its network copies of Vega where {scripts} stands.
LAYOUT = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
{refresh_tag}
<title>zerostart: plots</title>
<style>
body { display: flex; flex-wrap: wrap; align-items: flex-start; gap: 24px; margin: 24px; font: 14px sans-serif; }
img { max-width: 45vw; }
</style>
<!-- Vega VEGA, Vega-Lite VEGALITE, Vega-Embed EMBED: University of Washington Interactive Data Lab, BSD-3-Clause licence.
     They contain parts of D3 and TopoJSON (Mike Bostock, ISC licence), fast-json-patch (MIT) and semver (ISC). -->
<script>
(() => {
BUNDLE
})();
</script>
</head>
<body>
{plot_divs}
</body>
</html>
"""


def plots_page() -> str:
    """Build the HTML template for `plots.html_template`: Vega, Vega-Lite and Vega-Embed inline, nothing to load.

    The same text for the same version of vl-convert-python. Raises ValueError if the bundle would break the page.
    """
    bundle = vl_convert.javascript_bundle(VEGA_EMBED).strip()
    for breaking in ("</script", "<!--", "{refresh_tag}", "{scripts}", "{plot_divs}"):
        if breaking in bundle.lower():
            raise ValueError(f"the JavaScript bundle contains {breaking}, which cannot stand inside the page")
    versions = {
        "VEGALITE": vl_convert.get_vegalite_versions()[-1],
        "VEGA": vl_convert.get_vega_version(),
        "EMBED": vl_convert.get_vega_embed_version(),
    }
    page = LAYOUT
    for name, version in versions.items():
        page = page.replace(name, version)
    return page.replace("BUNDLE", bundle)


def main() -> str:
    if not PAGE.parent.is_dir():
        raise InputError(f"{PAGE.parent}: no such folder; run this in the root of the repository")
    page = plots_page()
    with output_file(PAGE) as temporary:
        temporary.write_text(page, encoding="utf-8", newline="\n")
    return f"{PAGE}: {len(page.encode())} bytes"


if __name__ == "__main__":
    run_stage(main)
