output "millrace" {
  description = "Names of what was made; see the module platform."
  value       = module.millrace
}
