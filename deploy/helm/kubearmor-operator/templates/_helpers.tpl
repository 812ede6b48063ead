{{- /* Written by `cargo xtask codegen`. */ -}}
{{- define `kubearmor.image` -}}
{{ .Values.kubearmorOperator.image.repository }}:{{ .Values.kubearmorOperator.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- define `kubearmor.pullSecrets` -}}
{{- $names := list -}}
{{- range .Values.kubearmorOperator.image.imagePullSecrets }}{{ $names = append $names .name }}{{ end -}}
{{ join `,` $names }}
{{- end -}}
