# translation: what a request in OpenAI's dialect costs whose target speaks Anthropic's, beside one whose target speaks
# OpenAI's: the same plane, load and sizes, in turns. Sourced by tests/bench/run.
#
# The two upstreams are one program, the demo provider, and say as much in as many pieces.

readonly TRANSLATED='4 16 long-stream' # KB of a plain call and of its response; a stream of 500 events

translation_setup() {
    local kind provider
    for kind in $TRANSLATED; do
        for provider in demo demo-anthropic; do
            admin POST models "{\"name\":\"bench-$provider-$kind\",\"max_output_tokens\":1000,
                \"targets\":[{\"provider\":\"$provider\",\"model\":\"$(play_of "$kind")\"}],
                \"price\":{\"input_per_mtok\":0.15,\"output_per_mtok\":0.60}}" >/dev/null
        done
    done
}

# translation PAIRS: a row for each into $GATEHOUSE_HOME/translation, and its bar
translation() {
    local kind i data=$GATEHOUSE_HOME/translation.data out=$GATEHOUSE_HOME/translation
    printf '| %s | %s | %s | %s | %s |\n' 'translated' 'CPU µs' 'transparent CPU µs' 'ratio, median (quartiles)' errors \
        --- --- --- --- --- >"$out"
    for kind in $TRANSLATED; do
        : >"$data"
        round gatehouse 64 "demo-anthropic-$kind" >/dev/null # warm
        round gatehouse 64 "demo-$kind" >/dev/null
        for ((i = 0; i < $1; i++)); do
            echo "$(round gatehouse 64 "demo-anthropic-$kind") $(round gatehouse 64 "demo-$kind")" >>"$data"
        done
        # with what a call costs to be shipped
        printf '| %s | %s | %s | %.2f (%.2f–%.2f) | %s |\n' "$(translation_label "$kind")" \
            "$(awk '{ print $1 + $6 }' "$data" | quartiles | cut -d' ' -f1)" \
            "$(awk '{ print $7 + $12 }' "$data" | quartiles | cut -d' ' -f1)" \
            $(awk '{ print ($1 + $6) / ($7 + $12) }' "$data" | quartiles) \
            "$(awk '{ n += $5 + $11 } END { print n }' "$data")" >>"$out"
        awk -v label="$(translation_label "$kind")" \
            -v ratio="$(awk '{ printf "%.2f\n", ($1 + $6) / ($7 + $12) }' "$data" | quartiles | cut -d' ' -f1)" 'BEGIN {
            good = ratio ~ /^[0-9.]+$/ && ratio > 0 && ratio <= 1.5 # else no call ended within a round
            printf "%s %s: CPU %s × the transparent path, at most 1.50\n", good ? "kept" : "miss", label, ratio }' >>"$bars"
    done
    cat "$out"
}

translation_label() { # KIND
    case $1 in
    *stream) echo 'OpenAI to Anthropic and back, a stream of 500 events' ;;
    *) echo "OpenAI to Anthropic and back, $1 KB" ;;
    esac
}

translation_errors() { awk -F'|' 'NR > 2 { n += $6 } END { print n + 0 }' "$GATEHOUSE_HOME/translation"; }
