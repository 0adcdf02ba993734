/**
 * What a shell sources to complete our commands. The scripts know nothing of options: they hand the words to
 * `berth completion --words`, and get one line that says how to go on, then candidates with a description behind a tab.
 *
 *   words           complete with the lines that follow
 *   files PREFIX    with files, behind PREFIX of the word
 *   dirs PREFIX     the same with directories
 *   commands        with programs, or a program's arguments
 */

export const SHELLS = ["bash", "zsh", "fish"] as const;
export type Shell = (typeof SHELLS)[number];

/** @param program path of the executable */
export function completionScript(shell: Shell, program: string, names: readonly string[]): string {
  const quoted = `'${program.replaceAll("'", "'\\''")}'`;
  const script = { bash: BASH, zsh: ZSH, fish: FISH }[shell];
  const fishQuoted = `'${program.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
  return script.replaceAll("@BERTH@", shell === "fish" ? fishQuoted : quoted).replaceAll("@NAMES@", names.join(" "));
}

const BASH = `# bash completion of Berth's commands. In ~/.bashrc: source <(berth completion bash)
_berth() {
  local line=\${COMP_LINE:0:COMP_POINT} words current reply how prefix typed part
  read -ra words <<<"$line"
  # A blank at the end begins a new word.
  case $line in *[[:space:]]) words+=('') ;; esac
  current=\${words[-1]}
  mapfile -t reply < <(@BERTH@ completion --words -- "\${words[@]}" 2>/dev/null </dev/null)
  how=\${reply[0]%% *} prefix=\${reply[0]#"$how"} prefix=\${prefix# }
  COMPREPLY=()
  # Bash completes what follows the last = or : of a word.
  part=
  case $current in *[=:]*) part=\${current%"\${current##*[=:]}"} ;; esac
  typed=\${current#"$prefix"}
  case $how in
    files | dirs)
      compopt -o filenames 2>/dev/null
      [ "$how" = dirs ] && how=-d || how=-f
      mapfile -t COMPREPLY < <(compgen $how -- "$typed")
      COMPREPLY=("\${COMPREPLY[@]/#/"\${prefix#"$part"}"}")
      ;;
    commands)
      # The first operand is a program; what follows are its own arguments.
      compopt -o filenames 2>/dev/null
      if [ "$prefix" = first ]; then mapfile -t COMPREPLY < <(compgen -c -- "$current")
      else mapfile -t COMPREPLY < <(compgen -f -- "$current"); fi
      ;;
    words)
      COMPREPLY=("\${reply[@]:1}")
      COMPREPLY=("\${COMPREPLY[@]%%$'\\t'*}")
      COMPREPLY=("\${COMPREPLY[@]#"$part"}")
      case \${COMPREPLY[0]-} in *[=:]) compopt -o nospace 2>/dev/null ;; esac
      ;;
  esac
}
complete -F _berth @NAMES@
`;

const ZSH = `#compdef @NAMES@
# zsh completion of Berth's commands. In ~/.zshrc, behind compinit: source <(berth completion zsh)
_berth() {
  local -a reply plain closed descriptions
  local how prefix line word
  reply=("\${(@f)$(@BERTH@ completion --words -- "\${(@)words[1,CURRENT]}" 2>/dev/null </dev/null)}")
  how=\${reply[1]%% *} prefix=\${reply[1]#$how} prefix=\${prefix# }
  case $how in
    files) [[ -n $prefix ]] && compset -P \${(b)prefix}; _files ;;
    dirs) [[ -n $prefix ]] && compset -P \${(b)prefix}; _files -/ ;;
    commands) if [[ $prefix = first ]]; then _command_names -e; else _files; fi ;;
    words)
      for line in "\${(@)reply[2,-1]}"; do
        word=\${line%%$'\\t'*}
        if [[ $word = *[=:] ]]; then plain+=("$word"); else closed+=("$word"); fi
      done
      # Names of fields and states are found in any case.
      (( $#plain )) && compadd -M 'm:{[:lower:][:upper:]}={[:upper:][:lower:]}' -S '' -a plain
      (( $#closed )) && compadd -M 'm:{[:lower:][:upper:]}={[:upper:][:lower:]}' -a closed
      return $(( $#plain + $#closed == 0 ))
      ;;
  esac
}
compdef _berth @NAMES@
`;

const FISH = `# fish completion of Berth's commands: berth completion fish > ~/.config/fish/completions/berth.fish, and source it
function _berth_complete
    set -l words (commandline -opc) (commandline -ct)
    set -l reply (@BERTH@ completion --words -- $words 2>/dev/null </dev/null)
    set -l how (string split -m 1 ' ' -- $reply[1])
    set -l current $words[-1]
    switch "$how[1]"
        case files dirs
            set -l prefix "$how[2]"
            set -l typed (string sub -s (math 1 + (string length -- "$prefix")) -- "$current")
            for path in (complete -C "'' $typed" | string replace -r '\\t.*' '')
                test "$how[1]" = dirs; and not test -d "$path"; and continue
                echo "$prefix$path"
            end
        case commands
            if test "$how[2]" = first
                complete -C "$current"
            else
                complete -C "'' $current"
            end
        case words
            string join \\n -- $reply[2..-1]
    end
end
for name in @NAMES@
    complete -c $name -f -a '(_berth_complete)'
end
`;
