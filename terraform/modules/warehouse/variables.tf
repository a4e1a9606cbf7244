variable "project" {
  description = "Google Cloud project id."
  type        = string
}

variable "location" {
  description = "BigQuery location of every dataset, such as EU or europe-west1; it cannot be changed later."
  type        = string

  validation {
    condition     = can(regex("^(US|EU|[a-z]+-[a-z]+[0-9]+)$", var.location))
    error_message = "Give a multi-region (US, EU) or a region such as europe-west1."
  }
}

variable "raw_tables" {
  description = "Raw tables to make, by table name."
  type = map(object({
    dataset     = string
    description = string
    owner       = string

    require_partition_filter = optional(bool, false)
    partition_by             = optional(string, "day")
    cluster_by               = optional(list(string), ["_key"])
    retention_days           = optional(number)
  }))

  validation {
    condition     = alltrue([for name, table in var.raw_tables : can(regex("^[A-Za-z_][A-Za-z0-9_]{0,127}$", name)) && table.dataset == "raw"])
    error_message = "A raw table's name is letters, digits and underscores, and its dataset is raw."
  }

  validation {
    condition     = alltrue([for table in var.raw_tables : contains(["hour", "day", "month"], table.partition_by) && contains([1, 2, 3, 4], length(table.cluster_by)) && try(table.retention_days >= 7, table.retention_days == null)])
    error_message = "A raw table's partition_by is hour, day or month, its cluster_by has 1 to 4 columns, and its retention_days are 7 or more, or null."
  }
}

variable "raw_partition_expiration_days" {
  description = "After how many days raw partitions are dropped, but none before its contract's retention_days; null keeps them. A full refresh can rebuild only what raw still holds."
  type        = number
  default     = null

  validation {
    condition     = var.raw_partition_expiration_days == null || try(var.raw_partition_expiration_days >= 7, false)
    error_message = "Keep raw for 7 days at least, or for ever (null)."
  }
}

variable "require_partition_filter" {
  description = "Whether a query on any raw table must name its partitions; guards against scans of all history. A contract can say so of its own table."
  type        = bool
  default     = false
}

variable "time_travel_hours" {
  description = "How far back BigQuery's time travel reaches."
  type        = number
  default     = 168

  validation {
    condition     = var.time_travel_hours >= 48 && var.time_travel_hours <= 168 && var.time_travel_hours % 24 == 0
    error_message = "BigQuery takes whole days from 48 to 168 hours."
  }
}

variable "deletion_protection" {
  description = "Whether Terraform refuses to delete tables, and datasets that are not empty."
  type        = bool
  default     = true
}

variable "labels" {
  description = "Labels of every resource."
  type        = map(string)
  default     = {}
}
