variable "project" {
  description = "Google Cloud project id."
  type        = string
}

variable "name" {
  description = "Name of the bucket, unique in all of Google Cloud."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9_-]{1,61}[a-z0-9]$", var.name))
    error_message = "A bucket's name is 3 to 63 lower-case letters, digits, hyphens and underscores."
  }
}

variable "location" {
  description = "Where the objects lie; where the rows that point to them do."
  type        = string
}

variable "row_expiration_days" {
  description = "After how many days raw partitions are dropped, and the images of their rows with them; null keeps both."
  type        = number
  default     = null

  validation {
    condition     = var.row_expiration_days == null || coalesce(var.row_expiration_days, 1) >= 1
    error_message = "Give at least one day, or null."
  }
}

variable "cold_after_days" {
  description = "After how many days objects move to a storage class that costs less to keep and more to read."
  type        = number
  default     = 30
}

variable "deletion_protection" {
  description = "Whether Terraform refuses to delete the bucket while it holds objects."
  type        = bool
  default     = true
}

variable "labels" {
  description = "Labels of the bucket."
  type        = map(string)
  default     = {}
}
