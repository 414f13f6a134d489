# complete_in_zsh.zsh SCRIPT FOLDER LINE…: what a zsh that has read SCRIPT offers at the end of each line, sorted, one
# line of words for each. FOLDER is for its own files.
zmodload zsh/zpty
script=$1 folder=$2
shift 2
cat > $folder/init.zsh <<END
autoload -U compinit && compinit -u -D
source $script
bindkey '^I' complete-word
bindkey '^U' kill-whole-line
unsetopt beep
compadd() {  # tells what it adds; calls that only ask for matches stay as they are
  local -a matches
  if (( \$@[(I)-[OAD]] )); then builtin compadd "\$@"; return; fi
  builtin compadd -A matches "\$@"
  (( \$#matches )) && print -rl -- \$matches >> $folder/offered
  builtin compadd "\$@"
}
END
zpty shell zsh -f -i
until_done() {
  local waited=0
  until [[ -e $folder/done ]]; do
    (( ++waited > 3000 )) && print "the shell does not answer" && exit 1
    zpty -r -t shell >/dev/null
    sleep 0.02
  done
  rm -f $folder/done
}
zpty -w shell "source $folder/init.zsh; : > $folder/done"
until_done  # what is typed before, the terminal takes for itself
for line in "$@"; do
  # On a busy machine the terminal may take the tab before the line editor listens: then nothing is offered, and it is typed again.
  for try in 1 2 3; do
    : > $folder/offered
    zpty -w -n shell "$line"$'\t\C-u'" : > $folder/done"$'\n'
    until_done
    [[ -s $folder/offered ]] && break
  done
  print -r -- ${(ou)${(Q)${(f)"$(<$folder/offered)"}}}
done
zpty -d shell
