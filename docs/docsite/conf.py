# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How Sphinx shows the plugins' documentation that antsibull-docs extracts. Used by tools/docs."""

from __future__ import annotations

project = "sre.runbooks"
copyright = "the sre.runbooks authors"
extensions = ["sphinx_antsibull_ext"]
html_theme = "alabaster"
html_theme_options = {"page_width": "1200px", "sidebar_width": "260px", "show_powered_by": False}
html_short_title = "sre.runbooks"
pygments_style = "ansible"
# Links to ansible-core's own documentation would need the network at build time.
nitpicky = False
suppress_warnings = ["ref.ref", "ref.any", "toc.not_readable", "toc.excluded", "toc.not_included"]
