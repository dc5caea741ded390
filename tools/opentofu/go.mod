// OpenTofu has replacements in its own go.mod, which count only in the module that is built: so they stand here again.
module sre.runbooks/opentofu

go 1.24.13

require github.com/opentofu/opentofu v1.10.10

replace github.com/hashicorp/hcl/v2 v2.20.1 => github.com/opentofu/hcl/v2 v2.20.2-0.20251021132045-587d123c2828
