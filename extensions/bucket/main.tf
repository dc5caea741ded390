# A bucket for recovery points that its own backup identity cannot destroy, in an account of its own.
# terraform apply -var bucket=acme-recovery-points -var prefix=production/ -var production_account=111122223333

terraform {
  required_version = ">= 1.5"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.0"
    }
  }
}

variable "bucket" {
  type        = string
  description = "Name of the bucket."
}

variable "prefix" {
  type        = string
  default     = ""
  description = "What the repository's URL has behind the bucket, with a slash at its end; empty for the whole bucket."
  validation {
    condition     = var.prefix == "" || endswith(var.prefix, "/")
    error_message = "The prefix is empty or ends in a slash."
  }
}

variable "production_account" {
  type        = string
  description = "Account of what is backed up, whose principals may take the identities. Not the bucket's own."
}

variable "trusted" {
  type        = map(list(string))
  default     = {}
  description = "Per identity (backup, prover, retention, reader), ARNs that may take it. By default production's, but its own account's for retention."
}

variable "lock_mode" {
  type        = string
  default     = "COMPLIANCE"
  description = "COMPLIANCE: nobody can delete a locked version, not even root. GOVERNANCE: who has the bypass can."
  validation {
    condition     = contains(["COMPLIANCE", "GOVERNANCE"], var.lock_mode)
    error_message = "COMPLIANCE or GOVERNANCE."
  }
}

variable "lock_days" {
  type        = number
  default     = 30
  description = "For how long every new object is locked. Retention extends the lock of what is kept longer."
}

variable "longest_lock_days" {
  type        = number
  default     = 3653
  description = "How far into the future a lock may be extended: a thief must not lock garbage for a century."
}

data "aws_caller_identity" "here" {}

locals {
  identities = toset(["backup", "prover", "retention", "reader"])
  # Production takes what it needs daily; what may delete is taken from elsewhere.
  default_account = {
    for name in local.identities :
    name => name == "retention" ? data.aws_caller_identity.here.account_id : var.production_account
  }
  arns = { for name, role in aws_iam_role.identity : name => role.arn }
  filled = merge(local.arns, {
    bucket            = var.bucket
    prefix            = var.prefix
    longest_lock_days = var.longest_lock_days
  })
  statements = concat(
    jsondecode(templatefile("${path.module}/policy.json", local.filled)).Statement,
    jsondecode(templatefile("${path.module}/policy-aws.json", local.filled)).Statement,
  )
}

resource "aws_s3_bucket" "repository" {
  bucket              = var.bucket
  object_lock_enabled = true
  force_destroy       = false

  lifecycle {
    prevent_destroy = true
    precondition {
      condition     = data.aws_caller_identity.here.account_id != var.production_account
      error_message = "Make the bucket in another account than production's, whose administrators could destroy both."
    }
  }
}

resource "aws_s3_bucket_versioning" "repository" {
  bucket = aws_s3_bucket.repository.id
  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_object_lock_configuration" "repository" {
  bucket     = aws_s3_bucket.repository.id
  depends_on = [aws_s3_bucket_versioning.repository]
  rule {
    default_retention {
      mode = var.lock_mode
      days = var.lock_days
    }
  }
}

resource "aws_s3_bucket_public_access_block" "repository" {
  bucket                  = aws_s3_bucket.repository.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "repository" {
  bucket = aws_s3_bucket.repository.id
  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "repository" {
  bucket = aws_s3_bucket.repository.id
  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm = "AES256"
    }
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "repository" {
  bucket     = aws_s3_bucket.repository.id
  depends_on = [aws_s3_bucket_versioning.repository]

  # Parts of uploads that nobody finished are neither objects nor locked, but are paid for.
  rule {
    id     = "abandoned-uploads"
    status = "Enabled"
    filter {}
    abort_incomplete_multipart_upload {
      days_after_initiation = 7
    }
  }

  # Leases and probes: what is over goes as soon as its lock is. Nothing else expires by itself.
  rule {
    id     = "control"
    status = "Enabled"
    filter {
      prefix = "${var.prefix}control/"
    }
    noncurrent_version_expiration {
      noncurrent_days = 1
    }
    expiration {
      expired_object_delete_marker = true
    }
  }
  rule {
    id     = "probes"
    status = "Enabled"
    filter {
      prefix = "${var.prefix}control/probes/"
    }
    expiration {
      days = 2
    }
  }
}

data "aws_iam_policy_document" "trust" {
  for_each = local.identities
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "AWS"
      identifiers = lookup(var.trusted, each.key, ["arn:aws:iam::${local.default_account[each.key]}:root"])
    }
  }
}

# Roles without rights of their own: what they may do is in the bucket's policy and nowhere else.
resource "aws_iam_role" "identity" {
  for_each           = local.identities
  name               = "${var.bucket}-${each.key}"
  assume_role_policy = data.aws_iam_policy_document.trust[each.key].json
}

resource "aws_s3_bucket_policy" "repository" {
  bucket     = aws_s3_bucket.repository.id
  depends_on = [aws_s3_bucket_public_access_block.repository]
  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = local.statements
  })
}

output "repository_url" {
  value = trimsuffix("s3://${var.bucket}/${var.prefix}", "/")
}

output "identities" {
  description = "Roles for repository_s3 (backup), repository_prover_s3 and repository_retention_s3, by profiles that take them."
  value       = local.arns
}
